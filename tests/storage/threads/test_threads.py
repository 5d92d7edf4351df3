"""Threads on both databases, with many at once wherever a rule could be raced."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable
from typing import Any
from uuid import UUID

import pytest

from storage.conversations.conversations import ConversationKind, MemberRole
from storage.conversations.membership import members_of, put_member_of, remove_member_of
from storage.database import Database
from storage.errors import NotFound
from storage.people.users import create_user
from storage.threads.rows import Visibility
from storage.threads.threads import ThreadChange, change_thread, create_thread, delete_thread, load_thread

pytestmark = pytest.mark.anyio

AT_ONCE = 16
THREAD = ConversationKind.thread


async def sign_up(database: Database, name: str) -> UUID:
    account = await database.write(create_user, username=name, email=None, password_hash="hash")
    return account.id


async def all_of(calls: Iterable[Awaitable[Any]]) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


def kinds(outcomes: list[Any]) -> Counter[type]:
    return Counter(type(outcome) for outcome in outcomes)


async def test_one_of_many_deletes_a_thread(database: Database) -> None:
    ada = await sign_up(database, "ada")
    thread = await database.write(create_thread, ada, title="t", visibility=Visibility.members)
    outcomes = await all_of(database.write(delete_thread, ada, thread.id) for _ in range(AT_ONCE))
    assert kinds(outcomes) == {type(None): 1, NotFound: AT_ONCE - 1}


async def test_a_person_is_added_once_however_many_add_them(database: Database) -> None:
    ada, bob = await sign_up(database, "ada"), await sign_up(database, "bob")
    thread = await database.write(create_thread, ada, title="t", visibility=Visibility.members)
    roles = (MemberRole.viewer, MemberRole.moderator)
    outcomes = await all_of(
        database.write(put_member_of, ada, THREAD, thread.id, bob, roles[n % 2]) for n in range(AT_ONCE)
    )
    assert kinds(outcomes) == {type(None): AT_ONCE}
    members = await database.read(members_of, ada, THREAD, thread.id)
    assert [member.user_id for member in members] == [ada, bob]
    assert members[0].role is MemberRole.owner


async def test_one_of_many_removes_a_member(database: Database) -> None:
    ada, bob = await sign_up(database, "ada"), await sign_up(database, "bob")
    thread = await database.write(create_thread, ada, title="t", visibility=Visibility.members)
    await database.write(put_member_of, ada, THREAD, thread.id, bob, MemberRole.member)
    outcomes = await all_of(database.write(remove_member_of, ada, THREAD, thread.id, bob) for _ in range(AT_ONCE))
    assert kinds(outcomes) == {type(None): 1, NotFound: AT_ONCE - 1}


async def test_changes_at_once_are_each_whole(database: Database) -> None:
    ada = await sign_up(database, "ada")
    thread = await database.write(create_thread, ada, title="t", visibility=Visibility.members)
    changes = [ThreadChange(title=str(n % 2 == 0), locked=n % 2 == 0) for n in range(AT_ONCE)]
    outcomes = await all_of(database.write(change_thread, ada, thread.id, change) for change in changes)
    assert all(seen.title == str(seen.locked) for seen in outcomes)
    left = await database.read(load_thread, ada, thread.id)
    assert left.title == str(left.locked)
