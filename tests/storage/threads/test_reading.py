"""Read positions, what is unread, and the access log, on both databases."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

from storage.database import Database
from storage.errors import Forbidden, NotFound
from storage.people.erasure import delete_user
from storage.people.users import create_user
from storage.threads import reading
from storage.threads.messages import ThreadMessage, list_messages
from storage.threads.reading import list_accesses, mark_read, note_access
from storage.threads.rows import Visibility
from storage.threads.threads import create_thread, delete_thread, list_threads, load_thread
from storage.threads.writing import delete_message, edit_message, hide_message, post_message

pytestmark = pytest.mark.anyio

AT_ONCE = 16
HISTORIES = 30


def person(connection: Connection, name: str) -> UUID:
    return create_user(connection, username=name, email=None, password_hash="hash").id


def say(connection: Connection, who: UUID, thread_id: UUID, content: str = "x") -> ThreadMessage:
    return post_message(connection, who, thread_id, content=content, tokens=1, parent_id=None)


def one_history(connection: Connection, seed: int) -> None:
    """Random things happen in a thread; each time what is unread is what a count by hand says."""
    dice = random.Random(seed)
    owner, *others = [person(connection, f"p{seed}-{number}") for number in range(4)]
    leaver = person(connection, f"leaver{seed}")
    thread = create_thread(connection, owner, title="t", visibility=Visibility.everyone)
    people = [owner, *others]
    read = dict.fromkeys(people, 0)
    for step in range(24):
        messages = list_messages(connection, owner, thread.id, limit=100).messages
        chosen = dice.choice(messages) if messages else None
        text = f"@p{seed}-{dice.randrange(4)}!" if dice.random() < 0.5 else "x"
        match dice.choice(["say", "say", "say", "edit", "delete", "hide", "show", "read"]):
            case "edit" if chosen is not None and chosen.sender_id is not None and not chosen.deleted:
                edit_message(connection, chosen.sender_id, chosen.id, content=text, tokens=1)
            case "delete" if chosen is not None and chosen.sender_id is not None:
                delete_message(connection, chosen.sender_id, chosen.id)
            case "hide" | "show" as verb if chosen is not None:
                hide_message(connection, owner, chosen.id, hidden=verb == "hide")
            case "read" if chosen is not None:
                reader = dice.choice(people)
                mark_read(connection, reader, thread.id, chosen.id)
                read[reader] = max(read[reader], chosen.seq)
            case _:
                say(connection, dice.choice([*people, leaver] if step < 12 else people), thread.id, text)
        if step == 12:
            delete_user(connection, leaver)
        messages = list_messages(connection, owner, thread.id, limit=100).messages
        for who in people:
            unread = [
                message
                for message in messages
                if message.seq > read[who] and message.sender_id != who and not message.deleted and not message.hidden
            ]
            seen = load_thread(connection, who, thread.id)
            mentions = [message for message in unread if f"-{people.index(who)}!" in message.content]
            expected = (len(unread), len(mentions), read[who])
            assert (seen.unread, seen.unread_mentions, seen.last_read_seq) == expected, (seed, step)
    listed = {seen.id: seen for seen in list_threads(connection, owner, limit=1000)}
    assert listed[thread.id] == load_thread(connection, owner, thread.id)


async def test_what_is_unread_is_what_a_count_by_hand_says(database: Database) -> None:
    await database.write(person, "root")
    for seed in range(HISTORIES):
        await database.write(one_history, seed)


async def test_a_position_ends_at_the_newest_however_many_move_it(database: Database) -> None:
    ada = await database.write(person, "ada")
    thread = await database.write(create_thread, ada, title="t", visibility=Visibility.members)
    messages = [await database.write(say, ada, thread.id) for _ in range(AT_ONCE)]
    random.Random(3).shuffle(messages)
    await asyncio.gather(*[database.write(mark_read, ada, thread.id, message.id) for message in messages])
    assert (await database.read(load_thread, ada, thread.id)).last_read_seq == AT_ONCE


async def test_looks_at_once_are_one_entry_with_the_newest_message(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
    monkeypatch.setattr(reading, "now", lambda: clock)
    ada, bob = await database.write(person, "ada"), await database.write(person, "bob")
    thread = await database.write(create_thread, ada, title="t", visibility=Visibility.everyone)
    messages: list[ThreadMessage] = [await database.write(say, ada, thread.id) for _ in range(AT_ONCE)]
    newest = messages[-1].id
    random.Random(4).shuffle(messages)
    await asyncio.gather(*[database.write(note_access, bob, thread.id, message.id) for message in messages])
    [entry] = await database.read(list_accesses, ada, thread.id, limit=10)
    assert (entry.user_id, entry.username, entry.message_id, entry.access_time) == (bob, "bob", newest, clock)
    first_time, clock = clock, clock + timedelta(seconds=reading.SLOT_SECONDS - 1)
    await database.write(note_access, bob, thread.id, newest)
    assert await database.read(list_accesses, ada, thread.id, limit=10) == [entry]
    assert entry.access_time == first_time
    clock += timedelta(seconds=1)
    again = await database.write(note_access, bob, thread.id, newest)
    assert await database.read(list_accesses, ada, thread.id, limit=10) == [again, entry]
    assert await database.read(list_accesses, ada, thread.id, after=again.id, limit=10) == [entry]
    assert await database.read(list_accesses, ada, thread.id, before=entry.id, limit=10) == [again]
    with pytest.raises(Forbidden):
        await database.read(list_accesses, bob, thread.id, limit=10)


async def test_a_thread_that_is_deleted_takes_its_readers_along(database: Database) -> None:
    ada = await database.write(person, "ada")
    thread = await database.write(create_thread, ada, title="t", visibility=Visibility.members)
    message = await database.write(say, ada, thread.id)
    calls: list[Any] = [
        *(database.write(mark_read, ada, thread.id, message.id) for _ in range(AT_ONCE)),
        database.write(delete_thread, ada, thread.id),
        *(database.write(note_access, ada, thread.id, message.id) for _ in range(AT_ONCE)),
    ]
    outcomes = Counter(type(outcome) for outcome in await asyncio.gather(*calls, return_exceptions=True))
    assert set(outcomes) <= {type(None), reading.Access, NotFound}, outcomes
