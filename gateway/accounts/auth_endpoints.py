"""Sign-up, login, logout, and a person's own list of logins."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from gateway.accounts.accounts import Accounts, Client, LoggedIn
from gateway.accounts.schemas import LoginAnswer, LoginRequest, LoginView, SignupRequest, profile_view
from gateway.http.paging import Page
from gateway.identity import cookie
from gateway.identity.guards import PUBLIC, requires
from gateway.identity.principal import Principal
from gateway.identity.write_limits import UNCOUNTED
from gateway.policy import Permission
from gateway.settings import is_loopback
from storage.database import Database
from storage.people import credentials

NO_COOKIE = (
    "Browsers keep the login cookie only on https, or on 127.0.0.1 and localhost. Open the page at one of those, "
    "or send this token as 'Authorization: Bearer'."
)

Asked = Request[Principal, Any, Any]


@post("/api/auth/signup", opt=PUBLIC, tags=["auth"])
async def sign_up(
    request: Request[Any, Any, Any], data: JSONBody[SignupRequest], accounts: NamedDependency[Accounts]
) -> Response[LoginAnswer]:
    """Make an account and log it in. Where nobody administers yet, the first one on this machine becomes an admin."""
    opened = await accounts.sign_up(
        username=data.username,
        email=data.email,
        password=data.password,
        setup_code=data.setup_code,
        client=Client.of(request),
    )
    return _logged_in(request, accounts, opened, status=201)


@post("/api/auth/login", opt=PUBLIC, status_code=200, tags=["auth"])
async def log_in(
    request: Request[Any, Any, Any], data: JSONBody[LoginRequest], accounts: NamedDependency[Accounts]
) -> Response[LoginAnswer]:
    """Open a login for a username or an email: a token, and a cookie for the page."""
    device = request.cookies.get(cookie.DEVICE)
    opened = await accounts.log_in(data.username, data.password, Client.of(request), device)
    return _logged_in(request, accounts, opened, status=200)


@post("/api/auth/logout", guards=[requires(Permission.sessions_manage)], opt=UNCOUNTED, status_code=204, tags=["auth"])
async def log_out(
    request: Asked, database: NamedDependency[Database], accounts: NamedDependency[Accounts]
) -> Response[None]:
    """End the login that asks."""
    await _end_login(request.user, request.user.credential_id, database, accounts)
    return Response(None, status_code=204, cookies=[cookie.clear()])


@get("/api/auth/sessions", guards=[requires(Permission.sessions_manage)], tags=["auth"])
async def list_sessions(request: Asked, database: NamedDependency[Database]) -> Page[LoginView]:
    """One's own logins, newest first; there are never more than a page of them."""
    logins = await database.read(credentials.list_logins, request.user.user_id)
    current = request.user.credential_id
    views = [LoginView(**msgspec.structs.asdict(login), current=login.id == current) for login in logins]
    return Page(views, next=None, prev=None)


@delete(
    "/api/auth/sessions/{session_id:uuid}",
    guards=[requires(Permission.sessions_manage)],
    opt=UNCOUNTED,
    tags=["auth"],
)
async def end_session(
    request: Asked,
    session_id: FromPath[UUID],
    database: NamedDependency[Database],
    accounts: NamedDependency[Accounts],
) -> None:
    """End one of one's own logins at once."""
    await _end_login(request.user, session_id, database, accounts)


@delete("/api/auth/sessions", guards=[requires(Permission.sessions_manage)], opt=UNCOUNTED, tags=["auth"])
async def end_other_sessions(
    request: Asked, database: NamedDependency[Database], accounts: NamedDependency[Accounts]
) -> None:
    """End all of one's own logins but the one that asks."""
    await database.write(credentials.end_logins, request.user.user_id, but=request.user.credential_id)
    accounts.authenticator.forget(request.user.user_id)


async def _end_login(principal: Principal, login_id: UUID, database: Database, accounts: Accounts) -> None:
    await database.write(credentials.end_login, principal.user_id, login_id)
    accounts.authenticator.forget(principal.user_id)


def _logged_in(
    request: Request[Any, Any, Any], accounts: Accounts, opened: LoggedIn, *, status: int
) -> Response[LoginAnswer]:
    keeps_cookies = request.url.scheme == "https" or is_loopback(request.url.hostname or "")
    notice = None if keeps_cookies else NO_COOKIE
    answer = LoginAnswer(profile_view(opened.account), opened.token, notice)
    cookies = [cookie.keep(opened.token, accounts.login_lifetime), cookie.keep_device(opened.device)]
    return Response(answer, status_code=status, cookies=cookies)
