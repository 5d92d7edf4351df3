"""Other people: what everybody may know of them, and what admins may change."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from gateway.accounts.accounts import Accounts
from gateway.accounts.schemas import Standing, StandingChange, User, user_view
from gateway.http.paging import DEFAULT, Page, PageLimit, decode_cursor, encode_cursor, one_direction, page
from gateway.identity.guards import requires
from gateway.identity.principal import Principal
from gateway.policy import Permission
from storage.database import Database
from storage.people import users

Asked = Request[Principal, Any, Any]


@get("/api/users", guards=[requires(Permission.users_read)], tags=["users"])
async def list_users(
    database: NamedDependency[Database],
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: PageLimit = DEFAULT,
) -> Page[User]:
    """People in the order of their names."""
    one_direction(after, before)
    found = await database.read(users.list_users, after=_name_in(after), before=_name_in(before), limit=limit + 1)
    return page(found, limit, _place, after=after, before=before, view=user_view)


@get("/api/users/{user_id:uuid}", guards=[requires(Permission.users_read)], tags=["users"])
async def read_user(user_id: FromPath[UUID], database: NamedDependency[Database]) -> User:
    """A person's public profile."""
    return user_view(await database.read(users.load_user, user_id))


@get("/api/admin/users", guards=[requires(Permission.users_manage)], tags=["admin"])
async def list_standings(
    database: NamedDependency[Database],
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: PageLimit = DEFAULT,
) -> Page[Standing]:
    """Everybody in the order of their names, those who are shut out too."""
    one_direction(after, before)
    found = await database.read(
        users.list_users, after=_name_in(after), before=_name_in(before), limit=limit + 1, with_disabled=True
    )
    return page(found, limit, _place, after=after, before=before, view=_standing)


@patch("/api/admin/users/{user_id:uuid}", guards=[requires(Permission.users_manage)], tags=["admin"])
async def change_standing(
    request: Asked,
    user_id: FromPath[UUID],
    data: JSONBody[StandingChange],
    database: NamedDependency[Database],
    accounts: NamedDependency[Accounts],
) -> Standing:
    """Give a person another role, or shut them out: their logins and tokens stop working at once."""
    account = await database.write(
        users.change_standing, request.user.user_id, user_id, role=data.user_role, disabled=data.disabled
    )
    accounts.authenticator.forget(user_id)
    return _standing(account)


def _standing(account: users.Account) -> Standing:
    return msgspec.convert(account, Standing, from_attributes=True)


def _place(account: users.Account) -> str:
    return encode_cursor(users.fold(account.username))


def _name_in(cursor: str | None) -> str | None:
    place = decode_cursor(cursor, str)
    return None if place is None else users.fold(place)
