"""One's own profile, password and departure. Only the person themselves comes here."""

from typing import Any

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET

from gateway.accounts.accounts import Accounts
from gateway.accounts.names import check_email, check_line
from gateway.accounts.schemas import AccountDeletion, PasswordChange, Profile, ProfileChange, profile_view
from gateway.errors import InvalidInput
from gateway.identity import cookie
from gateway.identity.guards import requires
from gateway.identity.principal import Principal
from gateway.identity.write_limits import UNCOUNTED
from gateway.policy import Permission
from storage.database import Database
from storage.people import users

MOST_AUDIO_BYTES = 4096

Asked = Request[Principal, Any, Any]


@get("/api/me", guards=[requires(Permission.profile_read)], tags=["me"])
async def read_profile(request: Asked, database: NamedDependency[Database]) -> Profile:
    """One's own profile."""
    return profile_view(await database.read(users.load_user, request.user.user_id))


@patch("/api/me", guards=[requires(Permission.profile_write)], tags=["me"])
async def change_profile(
    request: Asked,
    data: JSONBody[ProfileChange],
    database: NamedDependency[Database],
    accounts: NamedDependency[Accounts],
) -> Profile:
    """Change what is given; what is absent stays."""
    if data.audio_settings is not UNSET and len(msgspec.json.encode(data.audio_settings)) > MOST_AUDIO_BYTES:
        sentence = f"The audio settings are larger than {MOST_AUDIO_BYTES} bytes."
        raise InvalidInput(sentence, errors=[{"pointer": "/audio_settings", "message": sentence}])
    account = await database.write(
        users.update_profile,
        request.user.user_id,
        email=data.email if data.email is UNSET else check_email(data.email),
        display_name=data.display_name
        if data.display_name is UNSET
        else check_line(data.display_name, "/display_name"),
        audio_settings=data.audio_settings,
        permissions=data.permissions,
    )
    accounts.authenticator.forget(account.id)
    return profile_view(account)


@delete("/api/me", guards=[requires(Permission.sessions_manage)], opt=UNCOUNTED, tags=["me"])
async def delete_account(
    request: Asked, data: JSONBody[AccountDeletion], accounts: NamedDependency[Accounts]
) -> Response[None]:
    """Delete the account and all that is one's own; what was said in others' conversations stays without a name."""
    await accounts.delete(request.user, data.password)
    return Response(None, status_code=204, cookies=[cookie.clear()])


@post("/api/me/password", guards=[requires(Permission.sessions_manage)], opt=UNCOUNTED, status_code=204, tags=["me"])
async def change_password(
    request: Asked, data: JSONBody[PasswordChange], accounts: NamedDependency[Accounts]
) -> Response[None]:
    """Change the password; all other logins end, and the access tokens by choice."""
    device = await accounts.change_password(request.user, data.current, data.new, revoke_tokens=data.revoke_tokens)
    return Response(None, status_code=204, cookies=[cookie.keep_device(device)])
