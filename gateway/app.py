"""The application: every route, what handlers are given, and how errors are answered."""

from typing import Any

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.types import ASGIApp

from gateway.http.api_docs import OPENAPI, complete_document
from gateway.http.edge import Edge
from gateway.http.problems import HANDLERS
from gateway.identity.authentication import Authentication
from gateway.identity.guards import json_only
from gateway.identity.write_limits import WriteAllowance
from gateway.routes import ROUTES
from gateway.services import Services


def create_app(services: Services) -> ASGIApp:
    """The whole gateway as an ASGI application."""
    settings = services.settings
    writes = WriteAllowance(services.database, settings.writes_per_minute, turns_per_minute=settings.turns_per_minute)
    app = Litestar(
        route_handlers=ROUTES,
        dependencies={name: _given(getattr(services, name)) for name in services.__struct_fields__},
        guards=[json_only, writes],
        middleware=[Authentication(services.accounts.authenticator, trusted_origins=settings.cors_origins)],
        exception_handlers=HANDLERS,
        cors_config=_cors(settings.cors_origins),
        openapi_config=OPENAPI,
        request_max_body_size=settings.max_body_bytes,
        logging_config=None,
        debug=False,
    )
    complete_document(app)
    return Edge(app, allowed_hosts=settings.allowed_hosts, metrics=services.metrics)


def _given(value: Any) -> Provide:
    return Provide(lambda: value, use_cache=True, sync_to_thread=False)


def _cors(origins: tuple[str, ...]) -> CORSConfig | None:
    if not origins:
        return None
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Last-Event-ID", "Idempotency-Key"],
        expose_headers=["x-request-id", "retry-after", "x-should-retry"],
        allow_credentials=True,
        max_age=600,
    )
