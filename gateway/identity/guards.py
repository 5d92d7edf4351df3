"""Guards in the decorator of each route: what it takes to call it is visible before its body begins.

They are asynchronous because Litestar runs a synchronous guard in a thread.
"""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler

from gateway.errors import NotPermitted, Unauthenticated
from gateway.identity.cross_site import SAFE_METHODS
from gateway.identity.principal import Caller, Principal
from gateway.policy import POLICY, Permission

PUBLIC = {"public": True}
"""`opt=PUBLIC` marks a route for anybody: credentials on it are not even looked at, so a stale one does no harm.
An unsafe method on it is refused to other sites' pages (`cross_site.py`)."""


class requires:  # noqa: N801 - reads as a word in the decorator: guards=[requires(Permission.chats_read)]
    """The guard of a route that takes this permission."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        """Let pass who has the permission: 401 for nobody, 403 with what is missing for somebody."""
        caller: Caller = connection.scope["user"]
        if caller.may(self.permission):
            return
        if not isinstance(caller, Principal):
            raise Unauthenticated("Log in first, or send an access token as 'Authorization: Bearer gw_pat_...'.")
        raise _refusal(caller, self.permission)


def permission_of(handler: BaseRouteHandler) -> Permission | None:
    """The permission that a route takes, or None when it takes none: then it must be `PUBLIC`."""
    return next((guard.permission for guard in handler.guards or () if isinstance(guard, requires)), None)


async def json_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """The guard of the native API: a body is JSON and says so, which no form of another site's page can."""
    if connection.scope.get("method", "GET") in SAFE_METHODS:  # a WebSocket has no method and no body
        return
    headers = connection.headers
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException("Send the body as JSON, with 'Content-Type: application/json'.", status_code=415)


def _refusal(principal: Principal, permission: Permission) -> NotPermitted:
    rule = POLICY[permission]
    if principal.scopes is not None and not rule.may_delegate:
        return NotPermitted(f"No access token may {rule.sentence}. Log in and do it yourself.")
    if principal.scopes is not None and permission not in principal.scopes:
        return NotPermitted(f"This access token lacks the scope {str(permission)!r}.", scope=str(permission))
    return NotPermitted(
        f"This takes the role {str(rule.role)!r}; you are a {str(principal.role)!r}.", role=str(rule.role)
    )
