"""A person's access tokens: made for programs, shown once, revoked at once."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from gateway.accounts.accounts import Accounts
from gateway.accounts.names import check_line
from gateway.accounts.schemas import NewToken, ScopeView, TokenRequest, TokenView
from gateway.errors import InvalidInput
from gateway.http.paging import Page
from gateway.identity.guards import requires
from gateway.identity.principal import Principal
from gateway.identity.tokens import TokenKind, display_of, hash_token, new_token
from gateway.identity.write_limits import UNCOUNTED
from gateway.policy import DELEGABLE, POLICY, Permission, permits
from storage.database import Database
from storage.people import credentials

Asked = Request[Principal, Any, Any]


@get("/api/auth/scopes", guards=[requires(Permission.tokens_manage)], tags=["auth"])
async def list_scopes(request: Asked) -> Page[ScopeView]:
    """What one's own access tokens may be given, each with what it allows."""
    granted = [scope for scope in sorted(DELEGABLE) if permits(scope, request.user.role, None)]
    return Page([ScopeView(str(scope), POLICY[scope].sentence) for scope in granted], next=None, prev=None)


@get("/api/auth/tokens", guards=[requires(Permission.tokens_manage)], tags=["auth"])
async def list_tokens(request: Asked, database: NamedDependency[Database]) -> Page[TokenView]:
    """One's own access tokens, newest first; there are never more than a page of them."""
    issued = await database.read(credentials.list_access_tokens, request.user.user_id)
    return Page([TokenView(**msgspec.structs.asdict(one)) for one in issued], next=None, prev=None)


@post("/api/auth/tokens", guards=[requires(Permission.tokens_manage)], tags=["auth"])
async def create_token(request: Asked, data: JSONBody[TokenRequest], database: NamedDependency[Database]) -> NewToken:
    """Make an access token; the answer is the only place where it is ever shown."""
    token = new_token(TokenKind.access)
    issued = await database.write(
        credentials.create_access_token,
        request.user.user_id,
        name=check_line(data.name, "/name"),
        token_hash=hash_token(token),
        display=display_of(token),
        scopes=_delegable(data.scopes),
        lifetime=timedelta(days=data.expires_in_days),
    )
    return NewToken(**msgspec.structs.asdict(issued), token=token)


@delete(
    "/api/auth/tokens/{token_id:uuid}",
    guards=[requires(Permission.tokens_manage)],
    opt=UNCOUNTED,
    tags=["auth"],
)
async def revoke_token(
    request: Asked, token_id: FromPath[UUID], database: NamedDependency[Database], accounts: NamedDependency[Accounts]
) -> None:
    """Revoke an access token at once."""
    await database.write(credentials.revoke_access_token, request.user.user_id, token_id)
    accounts.authenticator.forget(request.user.user_id)


def _delegable(scopes: list[Permission]) -> list[str]:
    for place, scope in enumerate(scopes):
        if scope not in DELEGABLE:
            sentence = f"No access token may have the scope {str(scope)!r}."
            raise InvalidInput(sentence, errors=[{"pointer": f"/scopes/{place}", "message": sentence}])
    return sorted({str(scope) for scope in scopes})
