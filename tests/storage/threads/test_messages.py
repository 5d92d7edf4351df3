"""Messages of threads on both databases, with many at once wherever a rule could be raced."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Iterable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, select
from sqlmodel import col

from storage.conversations.messages import LARGEST_PAGE
from storage.database import Database
from storage.errors import Conflict, NotFound, ThreadLocked
from storage.people.audit_log import AuditEntry
from storage.people.erasure import delete_user
from storage.people.users import create_user
from storage.threads.messages import ThreadMessage, list_messages, list_pinned, list_revisions, load_message
from storage.threads.reactions import MOST_EMOJIS, ReactionCount
from storage.threads.reading import Access, note_access
from storage.threads.rows import MessageRevision, Visibility
from storage.threads.threads import ThreadChange, change_thread, create_thread, delete_thread
from storage.threads.writing import (
    MOST_PINS,
    delete_message,
    edit_message,
    hide_message,
    pin_message,
    post_message,
    react,
)

pytestmark = pytest.mark.anyio

AT_ONCE = 16


class Place:
    """An open thread, its owner, and somebody else."""

    def __init__(self, database: Database, owner: UUID, other: UUID, thread: UUID) -> None:
        self.database = database
        self.owner = owner
        self.other = other
        self.thread = thread

    async def say(self, content: str = "x", by: UUID | None = None, parent_id: UUID | None = None) -> ThreadMessage:
        return await self.database.write(
            post_message, by or self.other, self.thread, content=content, tokens=1, parent_id=parent_id
        )

    async def all(self) -> list[ThreadMessage]:
        return (await self.database.read(list_messages, self.other, self.thread, limit=10_000)).messages


@pytest.fixture
async def place(database: Database) -> Place:
    owner, other = [
        (await database.write(create_user, username=name, email=None, password_hash="hash")).id
        for name in ("ada", "bob")
    ]
    thread = await database.write(create_thread, owner, title="t", visibility=Visibility.everyone)
    return Place(database, owner, other, thread.id)


async def all_of(calls: Iterable[Awaitable[Any]]) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


def kinds(outcomes: list[Any]) -> Counter[type]:
    return Counter(type(outcome) for outcome in outcomes)


async def test_messages_at_once_are_numbered_without_gaps(place: Place) -> None:
    outcomes = await all_of(place.say(str(n)) for n in range(AT_ONCE))
    assert kinds(outcomes) == {ThreadMessage: AT_ONCE}
    assert [message.seq for message in await place.all()] == list(range(1, AT_ONCE + 1))


async def test_after_the_lock_nothing_is_said(place: Place) -> None:
    async def lock_and_count() -> int:
        await place.database.write(change_thread, place.owner, place.thread, ThreadChange(locked=True))
        return len(await place.all())

    calls: list[Awaitable[Any]] = [place.say() for _ in range(AT_ONCE)]
    calls.insert(AT_ONCE // 2, lock_and_count())
    outcomes = await all_of(calls)
    said = outcomes.pop(AT_ONCE // 2)
    assert kinds(outcomes) == Counter({ThreadMessage: said, ThreadLocked: AT_ONCE - said})
    assert len(await place.all()) == said
    await place.database.write(change_thread, place.owner, place.thread, ThreadChange(locked=False))
    assert (await place.say()).seq == said + 1  # refused messages took no number


async def test_edits_at_once_leave_each_text_once(place: Place) -> None:
    message = await place.say("first")
    names = {"@ada": place.owner, "@bob": place.other}
    texts = [f"text {n} {list(names)[n % 2]}" for n in range(AT_ONCE)]
    outcomes = await all_of(
        place.database.write(edit_message, place.other, message.id, content=text, tokens=1) for text in texts
    )
    assert kinds(outcomes) == {ThreadMessage: AT_ONCE}
    revisions = await place.database.read(list_revisions, place.owner, message.id, limit=100)
    left = await place.database.read(load_message, place.owner, message.id)
    assert [revision.number for revision in revisions] == list(range(1, AT_ONCE + 1))
    assert revisions[0].content == "first"
    assert left.mentions == (names[left.content.split()[-1]],)
    assert sorted([*(revision.content for revision in revisions), left.content]) == sorted(["first", *texts])


def revisions_left(connection: Connection, message_id: UUID) -> list[str]:
    return list(
        connection.execute(
            select(col(MessageRevision.content)).where(col(MessageRevision.message_id) == message_id)
        ).scalars()
    )


async def test_a_deletion_among_edits_leaves_no_text(place: Place) -> None:
    message = await place.say("a secret")
    calls: list[Awaitable[Any]] = [
        place.database.write(edit_message, place.other, message.id, content=f"secret {n}", tokens=1)
        for n in range(AT_ONCE)
    ]
    calls.insert(AT_ONCE // 2, place.database.write(delete_message, place.other, message.id))
    outcomes = await all_of(calls)
    assert set(kinds(outcomes)) <= {ThreadMessage, Conflict, type(None)}
    left = await place.database.read(load_message, place.owner, message.id)
    assert (left.content, left.deleted) == ("", True)
    assert await place.database.read(revisions_left, message.id) == []


async def test_a_person_reacts_once_however_often_they_do(place: Place) -> None:
    message = await place.say()
    outcomes = await all_of(
        place.database.write(react, place.other, message.id, "👍", given=True) for _ in range(AT_ONCE)
    )
    assert kinds(outcomes) == {ThreadMessage: AT_ONCE}
    left = await place.database.read(load_message, place.owner, message.id)
    assert left.reactions == (ReactionCount("👍", 1, False),)


async def test_a_message_has_so_many_emojis_and_no_more(place: Place) -> None:
    message = await place.say()
    emojis = [chr(0x1F600 + number) for number in range(MOST_EMOJIS + AT_ONCE)]
    outcomes = await all_of(place.database.write(react, place.other, message.id, emoji, given=True) for emoji in emojis)
    assert kinds(outcomes) == {ThreadMessage: MOST_EMOJIS, Conflict: AT_ONCE}
    left = await place.database.read(load_message, place.owner, message.id)
    assert len(left.reactions) == MOST_EMOJIS
    again = await place.database.write(react, place.owner, message.id, left.reactions[0].emoji, given=True)
    assert again.reactions[0].count == 2


async def test_a_thread_has_so_many_pins_and_no_more(place: Place) -> None:
    messages = [await place.say() for _ in range(MOST_PINS + AT_ONCE)]
    for message in messages[: MOST_PINS - AT_ONCE // 2]:
        await place.database.write(pin_message, place.owner, message.id, pinned=True)
    rest = messages[MOST_PINS - AT_ONCE // 2 :][:AT_ONCE]
    outcomes = await all_of(place.database.write(pin_message, place.owner, message.id, pinned=True) for message in rest)
    assert kinds(outcomes) == {ThreadMessage: AT_ONCE // 2, Conflict: AT_ONCE // 2}
    pinned = await place.database.read(list_pinned, place.other, place.thread)
    assert len(pinned) == MOST_PINS
    await place.database.write(pin_message, place.owner, pinned[0].id, pinned=True)  # it is pinned already
    await place.database.write(delete_message, place.other, pinned[0].id)
    await place.database.write(pin_message, place.owner, messages[-1].id, pinned=True)


def audited(connection: Connection) -> list[tuple[str, str]]:
    rows = connection.execute(select(col(AuditEntry.action), col(AuditEntry.target)).order_by(col(AuditEntry.at)))
    return [(row.action, row.target) for row in rows if row.action.startswith("message.")]


async def test_hiding_at_once_is_audited_once(place: Place) -> None:
    message = await place.say()
    for hidden in (True, False):
        await all_of(place.database.write(hide_message, place.owner, message.id, hidden=hidden) for _ in range(AT_ONCE))
    expected = [("message.hidden", str(message.id)), ("message.shown", str(message.id))]
    assert await place.database.read(audited) == expected


async def test_a_thread_that_is_deleted_takes_what_is_being_said_along(place: Place) -> None:
    first = await place.say()
    calls: list[Awaitable[Any]] = [
        *(place.say(parent_id=first.id) for _ in range(AT_ONCE)),
        *(place.database.write(edit_message, place.other, first.id, content=str(n), tokens=1) for n in range(AT_ONCE)),
    ]
    random.Random(5).shuffle(calls)
    calls.insert(AT_ONCE, place.database.write(delete_thread, place.owner, place.thread))
    outcomes = await all_of(calls)
    assert set(kinds(outcomes)) <= {ThreadMessage, NotFound, type(None)}, outcomes
    with pytest.raises(NotFound):
        await place.all()


@pytest.mark.parametrize("who_leaves", ["owner", "other"])
async def test_an_account_is_deleted_while_its_person_speaks(place: Place, who_leaves: str) -> None:
    message = await place.say()
    leaver = place.owner if who_leaves == "owner" else place.other
    calls: list[Awaitable[Any]] = []
    for n in range(AT_ONCE):
        calls += [
            place.say("@ada @bob", by=place.owner if n % 2 else place.other),
            place.database.write(react, leaver, message.id, chr(0x1F600 + n), given=True),
            place.database.write(note_access, leaver, place.thread, message.id),
        ]
    random.Random(6).shuffle(calls)
    calls.insert(AT_ONCE, place.database.write(delete_user, leaver))
    outcomes = await all_of(calls)
    assert outcomes[AT_ONCE] is None, outcomes[AT_ONCE]
    assert set(kinds(outcomes)) <= {ThreadMessage, Access, NotFound, type(None)}, kinds(outcomes)


async def test_pages_neither_skip_nor_double_while_others_write(place: Place) -> None:
    for n in range(30):
        await place.say(str(n))
    done = asyncio.Event()

    async def write(seed: int) -> None:
        dice, mine = random.Random(seed), []
        while not done.is_set():
            mine.append((await place.say()).id)
            if dice.random() < 0.5:
                await place.database.write(delete_message, place.other, mine.pop(dice.randrange(len(mine))))

    async def forwards() -> None:
        seen: list[int] = []
        while len(seen) < 90:
            after = seen[-1] if seen else 0
            page = (await place.database.read(list_messages, place.owner, place.thread, after=after, limit=3)).messages
            seen += [message.seq for message in page]
        assert seen == list(range(1, len(seen) + 1))

    async def backwards() -> None:
        page = (await place.database.read(list_messages, place.owner, place.thread, limit=3)).messages
        seen = [message.seq for message in page]
        while seen[0] != 1:
            page = (
                await place.database.read(list_messages, place.owner, place.thread, before=seen[0], limit=3)
            ).messages
            seen[:0] = [message.seq for message in page]
        assert seen == list(range(1, len(seen) + 1))

    writers = [asyncio.create_task(write(seed)) for seed in range(10)]
    try:
        await asyncio.gather(forwards(), backwards())
    finally:
        done.set()
        await asyncio.gather(*writers)


async def test_a_message_of_somebody_who_left_is_nobodys(place: Place) -> None:
    message = await place.say()
    await place.database.write(delete_user, place.other)
    left = await place.database.read(load_message, place.owner, message.id)
    assert (left.sender_id, left.sender_name, left.content) == (None, None, "x")


async def test_a_page_of_long_messages_is_short_and_skips_none(place: Place) -> None:
    long = "x" * (LARGEST_PAGE // 2)
    for number in range(5):
        await place.say(f"{number}{long}")
    for direction in ("before", "after"):
        seen: list[str] = []
        at = {"before": 100} if direction == "before" else {"after": 0}
        more = True
        while more:
            page = await place.database.read(list_messages, place.owner, place.thread, limit=100, **at)
            assert 1 <= len(page.messages) <= 2
            texts = [message.content[0] for message in page.messages]
            seen = texts + seen if direction == "before" else seen + texts
            at = {direction: page.messages[0 if direction == "before" else -1].seq}
            more = page.more
        assert seen == ["0", "1", "2", "3", "4"]
