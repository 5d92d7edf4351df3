"""Accounts on both databases, with many at once wherever a rule could be raced."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, func, select

from storage.chats.chat_sessions import Context
from storage.chats.chats import add_message, create_chat
from storage.conversations.conversations import Conversation, MemberRole, put_member
from storage.conversations.messages import Message
from storage.database import Database
from storage.errors import AlreadyTaken, Forbidden, LastAdmin, NotFound
from storage.people.audit_log import AuditEntry
from storage.people.credentials import AuthSession, open_login
from storage.people.erasure import delete_user
from storage.people.setup import admin_is_made, set_setup_code
from storage.people.users import (
    Account,
    UserRole,
    change_standing,
    create_user,
    find_login,
    list_users,
    load_user,
    replace_password_hash,
    update_profile,
)

pytestmark = pytest.mark.anyio

AT_ONCE = 16


async def sign_up(database: Database, name: str, **more: Any) -> Account:
    more = {"email": f"{name}@example.org", "password_hash": "hash", **more}
    return await database.write(create_user, username=name, **more)


async def all_of(calls: Iterable[Awaitable[Any]]) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


def kinds(outcomes: list[Any]) -> Counter[type]:
    return Counter(type(outcome) for outcome in outcomes)


def count(connection: Connection, table: Any) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


async def test_one_of_many_first_comers_is_the_admin(database: Database) -> None:
    accounts = await all_of(sign_up(database, f"user{n}", may_be_first_admin=True) for n in range(AT_ONCE))
    assert Counter(account.role for account in accounts) == {UserRole.admin: 1, UserRole.member: AT_ONCE - 1}
    assert await database.read(admin_is_made)


async def test_one_of_many_with_the_setup_code_gets_in(database: Database) -> None:
    assert await database.write(set_setup_code, b"code")
    outcomes = await all_of(sign_up(database, f"user{n}", setup_code_hash=b"code") for n in range(AT_ONCE))
    assert kinds(outcomes) == {Account: 1, Forbidden: AT_ONCE - 1}
    assert len(await database.read(list_users, limit=AT_ONCE)) == 1
    assert not await database.write(set_setup_code, b"another")


async def test_a_wrong_setup_code_makes_nobody(database: Database) -> None:
    await database.write(set_setup_code, b"code")
    with pytest.raises(Forbidden):
        await sign_up(database, "mallory", setup_code_hash=b"guess")
    assert await database.read(list_users, limit=10) == []
    assert not await database.read(admin_is_made)


async def test_without_a_code_in_store_no_code_fits(database: Database) -> None:
    with pytest.raises(Forbidden):
        await sign_up(database, "mallory", setup_code_hash=b"")


async def test_a_refused_sign_up_does_not_use_up_the_flag(database: Database) -> None:
    await sign_up(database, "ann")
    with pytest.raises(AlreadyTaken):
        await sign_up(database, "ann", may_be_first_admin=True)
    assert (await sign_up(database, "bob", may_be_first_admin=True)).role is UserRole.admin


async def test_an_admin_made_by_hand_uses_up_the_flag(database: Database) -> None:
    await sign_up(database, "ann", role=UserRole.admin)
    assert (await sign_up(database, "bob", may_be_first_admin=True)).role is UserRole.member


async def test_a_name_is_given_once(database: Database) -> None:
    spellings = ("ann", "ANN", "Ann", "\uff21nn")
    outcomes = await all_of(sign_up(database, spellings[n % 4], email=f"{n}@example.org") for n in range(AT_ONCE))
    assert kinds(outcomes) == {Account: 1, AlreadyTaken: AT_ONCE - 1}
    assert {error.field for error in outcomes if isinstance(error, AlreadyTaken)} == {"username"}


async def test_an_email_is_given_once(database: Database) -> None:
    outcomes = await all_of(sign_up(database, f"user{n}", email="Ann@Example.org") for n in range(AT_ONCE))
    assert kinds(outcomes) == {Account: 1, AlreadyTaken: AT_ONCE - 1}
    assert {error.field for error in outcomes if isinstance(error, AlreadyTaken)} == {"email"}


async def test_a_taken_name_is_told_from_a_taken_email_whatever_it_is(database: Database) -> None:
    await sign_up(database, "email_key")
    with pytest.raises(AlreadyTaken) as refused:
        await sign_up(database, "email_key", email="else@example.org")
    assert refused.value.field == "username"


async def test_a_login_is_found_by_name_and_by_email_in_any_case(database: Database) -> None:
    ann = await sign_up(database, "Ann", password_hash="the hash")
    for name in ("ann", "ANN", "ann@EXAMPLE.org"):
        assert await database.read(find_login, name) == (ann, "the hash")
    for name in ("an", "", "ann\0", "\0"):
        assert await database.read(find_login, name) is None


@pytest.mark.parametrize("way", ["demote", "disable", "delete", "mixed"])
async def test_the_last_admin_stays_however_many_leave_at_once(database: Database, way: str) -> None:
    admins = [await sign_up(database, f"admin{n}", role=UserRole.admin) for n in range(AT_ONCE)]

    def leave(place: int, admin: Account) -> Awaitable[Any]:
        chosen = ("demote", "disable", "delete")[place % 3] if way == "mixed" else way
        if chosen == "demote":
            return database.write(change_standing, None, admin.id, role=UserRole.member)
        if chosen == "disable":
            return database.write(change_standing, None, admin.id, disabled=True)
        return database.write(delete_user, admin.id)

    outcomes = await all_of(leave(place, admin) for place, admin in enumerate(admins))
    assert kinds(outcomes)[LastAdmin] == 1
    left = [one for one in await database.read(list_users, limit=100) if one.role is UserRole.admin]
    assert len(left) == 1


async def test_a_disabled_admin_does_not_count(database: Database) -> None:
    ann = await sign_up(database, "ann", role=UserRole.admin)
    bob = await sign_up(database, "bob", role=UserRole.admin)
    await database.write(change_standing, ann.id, bob.id, disabled=True)
    with pytest.raises(LastAdmin):
        await database.write(change_standing, ann.id, ann.id, role=UserRole.moderator)
    await database.write(change_standing, ann.id, bob.id, role=UserRole.member)


async def test_a_change_of_standing_is_audited_once_with_its_actor(database: Database) -> None:
    ann = await sign_up(database, "ann", role=UserRole.admin)
    bob = await sign_up(database, "bob")
    for _ in range(2):  # the second changes nothing
        await database.write(change_standing, ann.id, bob.id, role=UserRole.moderator)

    def entries(connection: Connection) -> list[Any]:
        found = select(AuditEntry.__table__).where(AuditEntry.action == "user.standing_changed")  # type: ignore[attr-defined,arg-type]
        return list(connection.execute(found))

    (entry,) = await database.read(entries)
    assert (entry.actor_id, entry.target) == (ann.id, str(bob.id))
    assert entry.detail == {"username": "bob", "role": "moderator"}


async def test_a_profile_keeps_what_is_not_changed(database: Database) -> None:
    ann = await sign_up(database, "ann")
    await database.write(update_profile, ann.id, display_name="Ann A.", audio_settings={"gain": 2})
    changed = await database.write(update_profile, ann.id, permissions=["speak"])
    assert (changed.display_name, changed.audio_settings, changed.permissions) == ("Ann A.", {"gain": 2}, ["speak"])
    assert changed.email == "ann@example.org"
    await sign_up(database, "bob")
    with pytest.raises(AlreadyTaken):
        await database.write(update_profile, ann.id, email="BOB@example.org")


async def test_a_password_hash_is_replaced_only_where_it_was_proven(database: Database) -> None:
    ann = await sign_up(database, "ann", password_hash="old")
    outcomes = await all_of(
        database.write(replace_password_hash, ann.id, f"new{n}", proven="old") for n in range(AT_ONCE)
    )
    assert Counter(outcomes) == {True: 1, False: AT_ONCE - 1}


async def test_people_are_listed_by_name_in_both_directions(database: Database) -> None:
    for name in ("cid", "Ann", "eve", "Bob", "dan"):
        await sign_up(database, name)
    await database.write(change_standing, None, (await database.read(find_login, "dan"))[0].id, disabled=True)

    async def names(**place: Any) -> list[str]:
        return [account.username for account in await database.read(list_users, **place)]

    assert await names(limit=10) == ["Ann", "Bob", "cid", "eve"]
    assert await names(after="ann", limit=2) == ["Bob", "cid"]
    assert await names(before="eve", limit=2) == ["Bob", "cid"]
    assert await names(after="eve", limit=2) == []


async def test_deleting_a_person_leaves_nothing_of_theirs(database: Database) -> None:
    ann = await sign_up(database, "ann")
    bob = await sign_up(database, "bob")
    mine = await database.write(create_chat, ann.id, persona="mia", data={"text": "my secret"})
    await database.write(add_message, ann.id, mine.id, content="hello", tokens=1)
    bobs = await database.write(create_chat, bob.id, persona="mia")
    await database.write(put_member, bobs.id, ann.id, MemberRole.member)
    await database.write(add_message, ann.id, bobs.id, content="said at Bob's", tokens=3)
    await database.write(
        open_login, ann.id, proven="hash", token_hash=b"t" * 32, user_agent="", lifetime=timedelta(days=1)
    )
    await database.write(delete_user, ann.id)
    with pytest.raises(NotFound):
        await database.read(load_user, ann.id)
    for table, left in ((Conversation, 1), (Context, 1), (AuthSession, 0)):
        assert await database.read(count, table) == left

    def said(connection: Connection) -> list[tuple[str, UUID | None]]:
        return [tuple(row) for row in connection.execute(select(Message.content, Message.sender_id))]  # type: ignore[call-overload,misc]

    assert await database.read(said) == [("said at Bob's", None)]
