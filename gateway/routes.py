"""The route table: every handler of every slice, and nothing else."""

from litestar.types import ControllerRouterHandler

from gateway.accounts import routers as accounts
from gateway.chats import endpoints as chats
from gateway.chats import message_endpoints, persona_endpoints
from gateway.conversations import member_endpoints
from gateway.http.api_docs import docs_asset, openapi_document
from gateway.operations import operations
from gateway.threads import endpoints as threads
from gateway.threads import message_endpoints as thread_messages
from gateway.threads import reading_endpoints
from gateway.turns import endpoints as turns
from gateway.web import pages

ROUTES: list[ControllerRouterHandler] = [
    *accounts.ROUTERS,
    persona_endpoints.router,
    chats.router,
    message_endpoints.router,
    *member_endpoints.ROUTERS,
    threads.router,
    thread_messages.router,
    reading_endpoints.router,
    turns.router,
    operations.router,
    openapi_document,
    docs_asset,
    pages.router,
]
