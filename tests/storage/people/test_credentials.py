"""Logins and access tokens on both databases."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storage.database import Database
from storage.errors import Conflict, NotFound
from storage.people import credentials
from storage.people.credentials import (
    MAX_LOGINS,
    MAX_TOKENS,
    IssuedToken,
    change_password,
    create_access_token,
    end_login,
    end_logins,
    find_credential,
    forget_expired_credentials,
    list_access_tokens,
    list_logins,
    mark_seen,
    open_login,
    reset_password,
    revoke_access_token,
)
from storage.people.users import Account, UserRole, change_standing, create_user, find_password_hash

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
WEEK = timedelta(days=7)


class Clock:
    """The time of the module under test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.moment = datetime(2030, 1, 1, tzinfo=UTC)
        monkeypatch.setattr(credentials, "now", lambda: self.moment)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
async def ann(database: Database) -> Account:
    return await database.write(create_user, username="ann", email=None, password_hash="old")


@pytest.fixture
async def bob(database: Database) -> Account:
    return await database.write(create_user, username="bob", email=None, password_hash="old")


def hash_of(number: int) -> bytes:
    return number.to_bytes(32)


async def log_in(database: Database, person: Account, number: int, *, proven: str = "old") -> Any:
    return await database.write(
        open_login, person.id, proven=proven, token_hash=hash_of(number), user_agent="test", lifetime=30 * DAY
    )


async def make_token(database: Database, person: Account, number: int) -> IssuedToken:
    return await database.write(
        create_access_token,
        person.id,
        name=f"token {number}",
        token_hash=hash_of(number),
        display="gw_pat_abcd",
        scopes=["chats:read"],
        lifetime=DAY,
    )


async def works(database: Database, number: int, *, is_login: bool = True) -> bool:
    return await database.read(find_credential, hash_of(number), is_login=is_login, idle=WEEK) is not None


async def test_a_login_says_who_it_stands_for(database: Database, ann: Account) -> None:
    login_id = await log_in(database, ann, 1)
    found = await database.read(find_credential, hash_of(1), is_login=True, idle=WEEK)
    assert found is not None
    assert (found.id, found.user_id, found.username, found.scopes) == (login_id, ann.id, "ann", None)
    assert not await works(database, 2)
    assert not await works(database, 1, is_login=False)


async def test_a_login_ends_when_idle_and_when_old(database: Database, ann: Account, clock: Clock) -> None:
    login_id = await log_in(database, ann, 1)
    for _ in range(4):
        clock.moment += 6 * DAY
        assert await works(database, 1)
        await database.write(mark_seen, login_id, is_login=True)
    clock.moment += 5 * DAY
    assert await works(database, 1)
    clock.moment += DAY
    assert not await works(database, 1)
    await log_in(database, ann, 2)
    clock.moment += WEEK
    assert not await works(database, 2)


async def test_a_token_expires_and_is_forgotten(database: Database, ann: Account, clock: Clock) -> None:
    await make_token(database, ann, 1)
    await log_in(database, ann, 2)
    assert await works(database, 1, is_login=False)
    clock.moment += DAY
    assert not await works(database, 1, is_login=False)
    clock.moment += timedelta(seconds=1)
    await database.write(forget_expired_credentials)
    assert await database.read(list_access_tokens, ann.id) == []
    assert len(await database.read(list_logins, ann.id)) == 1


async def test_nothing_of_a_disabled_person_works(database: Database, ann: Account) -> None:
    await log_in(database, ann, 1)
    await make_token(database, ann, 2)
    await database.write(change_standing, None, ann.id, disabled=True)
    assert not await works(database, 1)
    assert not await works(database, 2, is_login=False)
    with pytest.raises(Conflict):
        await log_in(database, ann, 3)


async def test_a_change_of_role_shows_in_the_next_look(database: Database, ann: Account) -> None:
    await make_token(database, ann, 1)
    await database.write(change_standing, None, ann.id, role=UserRole.moderator)
    found = await database.read(find_credential, hash_of(1), is_login=False, idle=WEEK)
    assert found is not None
    assert found.role is UserRole.moderator


async def test_the_longest_unused_login_gives_way(database: Database, ann: Account, clock: Clock) -> None:
    first = await log_in(database, ann, 0)
    for number in range(1, MAX_LOGINS):
        clock.moment += timedelta(minutes=1)
        await log_in(database, ann, number)
    clock.moment += timedelta(minutes=1)
    await database.write(mark_seen, first, is_login=True)
    await log_in(database, ann, MAX_LOGINS)
    assert len(await database.read(list_logins, ann.id)) == MAX_LOGINS
    assert await works(database, 0)
    assert not await works(database, 1)


async def test_no_login_outlives_the_password_it_was_opened_with(database: Database, ann: Account) -> None:
    kept = await log_in(database, ann, 0)

    async def change() -> None:
        await database.write(change_password, ann.id, "new", proven="old", keep=kept, revoke_tokens=False)

    logins = [log_in(database, ann, number) for number in range(1, 17)]
    outcomes = await asyncio.gather(*logins[:8], change(), *logins[8:], return_exceptions=True)
    assert {type(one) for one in outcomes if isinstance(one, BaseException)} <= {Conflict}
    assert [login.id for login in await database.read(list_logins, ann.id)] == [kept]


async def test_the_password_changes_once_for_one_proof(database: Database, ann: Account) -> None:
    kept = await log_in(database, ann, 0)
    outcomes = await asyncio.gather(
        *(
            database.write(change_password, ann.id, f"new{n}", proven="old", keep=kept, revoke_tokens=False)
            for n in range(16)
        ),
        return_exceptions=True,
    )
    assert Counter(type(one) for one in outcomes) == {type(None): 1, Conflict: 15}


@pytest.mark.parametrize("revoke", [False, True])
async def test_a_new_password_ends_other_logins_and_by_choice_tokens(
    database: Database, ann: Account, bob: Account, revoke: bool
) -> None:
    kept = await log_in(database, ann, 1)
    await log_in(database, ann, 2)
    await log_in(database, bob, 3)
    await make_token(database, ann, 4)
    await database.write(change_password, ann.id, "new", proven="old", keep=kept, revoke_tokens=revoke)
    assert [await works(database, number) for number in (1, 2, 3)] == [True, False, True]
    assert await works(database, 4, is_login=False) is not revoke


async def test_a_reset_password_ends_everything(database: Database, ann: Account) -> None:
    await log_in(database, ann, 1)
    await make_token(database, ann, 2)
    await database.write(reset_password, ann.id, "new")
    assert not await works(database, 1)
    assert not await works(database, 2, is_login=False)
    assert await database.read(find_password_hash, ann.id) == "new"


async def test_nobody_ends_what_is_somebody_elses(database: Database, ann: Account, bob: Account) -> None:
    login_id = await log_in(database, ann, 1)
    token = await make_token(database, ann, 2)
    with pytest.raises(NotFound):
        await database.write(end_login, bob.id, login_id)
    with pytest.raises(NotFound):
        await database.write(revoke_access_token, bob.id, token.id)
    await database.write(end_logins, bob.id)
    assert await works(database, 1)
    assert await works(database, 2, is_login=False)


async def test_a_person_has_so_many_tokens_and_no_more(database: Database, ann: Account) -> None:
    for number in range(MAX_TOKENS - 4):
        await make_token(database, ann, number)
    outcomes = await asyncio.gather(
        *(make_token(database, ann, 100 + number) for number in range(16)), return_exceptions=True
    )
    assert Counter(type(one) for one in outcomes) == {IssuedToken: 4, Conflict: 12}
