"""The rules of a turn, with 16 at once, on both databases."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from storage.chats.chats import Chat, add_message, create_chat
from storage.conversations.branches import load_branch
from storage.conversations.messages import LARGEST_WINDOW
from storage.database import Database
from storage.database.columns import new_id, now
from storage.errors import AllowanceSpent, KeyReused, NotFound, TurnRunning
from storage.people.users import create_user
from storage.turns.idempotency import IdempotencyKey
from storage.turns.opening import (
    AskedTurn,
    Opening,
    OpenTurn,
    Prepared,
    RepeatedTurn,
    TurnLimits,
    begin_turn,
    first_words,
    next_opening,
)
from storage.turns.outcomes import Outcome, finish_turn
from storage.turns.persona_revisions import keep_revisions
from storage.turns.rows import TurnState, load_turn

pytestmark = pytest.mark.anyio

NODE = new_id()
PLENTY = TurnLimits(per_minute=10_000, concurrent=100)


def prepared(opening: Opening) -> Prepared[Opening]:
    return Prepared(persona_digest="d", model="m", manifest=b"{}", window_start=None, context=opening)


class Line:
    """A person with chats in a database."""

    def __init__(self, database: Database, user_id: UUID) -> None:
        self.database = database
        self.user_id = user_id

    @classmethod
    async def begin(cls, database: Database) -> "Line":
        await database.write(keep_revisions, {"d": ("mia", b"{}")})
        user = await database.write(create_user, username="ada", email=None, password_hash="x")
        return cls(database, user.id)

    async def chat(self) -> Chat:
        return await self.database.write(create_chat, self.user_id, persona="mia")

    async def ask(self, chat: Chat, limits: TurnLimits = PLENTY, **fields: Any) -> Any:
        asked = AskedTurn(user_id=self.user_id, chat_id=chat.id, **{"content": "Hello", "tokens": 1, **fields})
        return await self.database.write(
            begin_turn, asked, prepared, limits=limits, node=NODE, lease=timedelta(seconds=9)
        )

    async def end(self, turn: OpenTurn[Any], content: str = "Hi", state: TurnState = TurnState.completed) -> bool:
        outcome = Outcome(state=state, content=content, tokens=1, model="m", events=2, ended_at=now())
        return await self.database.write(finish_turn, turn.id, turn.reply_message_id, outcome)


@pytest.fixture
async def line(database: Database) -> Line:
    return await Line.begin(database)


async def at_once(*asking: Any) -> Counter[str]:
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    return Counter(type(outcome).__name__ for outcome in outcomes)


def seqs(connection: Connection, chat_id: UUID) -> list[int]:
    query = text("SELECT seq FROM message WHERE conversation_id = :chat ORDER BY seq")
    bound = {"chat": chat_id.hex if connection.dialect.name == "sqlite" else chat_id}
    return list(connection.execute(query, bound).scalars())


async def test_one_turn_runs_in_a_chat(line: Line) -> None:
    chat = await line.chat()
    outcomes = await at_once(*[line.ask(chat) for _ in range(16)])
    assert outcomes == {"OpenTurn": 1, "TurnRunning": 15}
    assert await line.database.read(seqs, chat.id) == [1, 2]


async def test_messages_of_a_chat_are_numbered_without_gaps(line: Line) -> None:
    chat = await line.chat()
    saying = [
        line.database.write(add_message, line.user_id, chat.id, content=str(number), tokens=1) for number in range(16)
    ]
    assert await at_once(*saying) == {"UUID": 16}
    assert await line.database.read(seqs, chat.id) == list(range(1, 17))


async def test_no_more_turns_run_at_a_time_than_allowed(line: Line) -> None:
    chats = [await line.chat() for _ in range(16)]
    limits = TurnLimits(per_minute=10_000, concurrent=3)
    outcomes = await at_once(*[line.ask(chat, limits) for chat in chats])
    assert outcomes == {"OpenTurn": 3, "AllowanceSpent": 13}


async def test_no_more_turns_a_minute_than_allowed(line: Line) -> None:
    chats = [await line.chat() for _ in range(16)]
    limits = TurnLimits(per_minute=5, concurrent=100)
    outcomes = await at_once(*[line.ask(chat, limits) for chat in chats])
    assert outcomes == {"OpenTurn": 5, "AllowanceSpent": 11}
    with pytest.raises(AllowanceSpent) as refused:
        await line.ask(chats[0], limits)
    assert 0 < refused.value.retry_after <= 12


async def test_a_refused_turn_costs_no_allowance(line: Line) -> None:
    chat = await line.chat()
    limits = TurnLimits(per_minute=2, concurrent=100)
    opened = await line.ask(chat, limits)
    for _ in range(5):
        with pytest.raises(TurnRunning):
            await line.ask(chat, limits)
    await line.end(opened)
    await line.ask(chat, limits)


async def test_an_idempotency_key_opens_one_turn(line: Line) -> None:
    chat = await line.chat()
    key = IdempotencyKey("POST /x", "one", b"f" * 32)
    outcomes = await asyncio.gather(*[line.ask(chat, key=key) for _ in range(16)])
    opened = [outcome for outcome in outcomes if isinstance(outcome, OpenTurn)]
    repeated = [outcome for outcome in outcomes if isinstance(outcome, RepeatedTurn)]
    assert (len(opened), len(repeated)) == (1, 15)
    assert {outcome.id for outcome in repeated} == {opened[0].id}
    with pytest.raises(KeyReused):
        await line.ask(chat, key=IdempotencyKey("POST /x", "one", b"g" * 32))


async def test_a_turn_that_cannot_be_prepared_leaves_no_trace(line: Line) -> None:
    chat = await line.chat()

    def refuse(opening: Opening) -> Prepared[None]:
        raise LookupError("too long")

    key = IdempotencyKey("POST /x", "one", b"f" * 32)
    asked = AskedTurn(user_id=line.user_id, chat_id=chat.id, content="x", tokens=1, key=key)
    with pytest.raises(LookupError):
        await line.database.write(begin_turn, asked, refuse, limits=PLENTY, node=NODE, lease=timedelta(seconds=9))
    assert await line.database.read(seqs, chat.id) == []
    assert isinstance(await line.ask(chat, key=key), OpenTurn)


async def test_a_turn_ends_once(line: Line) -> None:
    turn = await line.ask(await line.chat())
    states = [TurnState.completed, TurnState.stopped, TurnState.failed, TurnState.interrupted] * 4
    ended = await asyncio.gather(*[line.end(turn, state.value, state) for state in states])
    assert ended.count(True) == 1
    stored = await line.database.read(load_turn, line.user_id, turn.id)
    assert stored.content == stored.state == states[ended.index(True)]


async def test_history_is_the_branch_and_what_was_usable(line: Line) -> None:
    chat = await line.chat()
    first = await line.ask(chat, content="one")
    await line.end(first, "kept")
    second = await line.ask(chat, content="two")
    await line.end(second, "half", TurnState.failed)
    third = await line.ask(chat, content="three")
    history = third.opening.history.messages
    assert [(message.content, message.usable) for message in history] == [
        ("one", True),
        ("kept", True),
        ("two", True),
        ("half", False),
    ]
    await line.end(third)
    sibling = await line.ask(chat, content="edited", parent=first.reply_message_id)
    assert [message.content for message in sibling.opening.history.messages] == ["one", "kept"]
    branch = (await line.database.read(load_branch, line.user_id, chat.id, limit=50)).messages
    assert [message.content for message in branch] == ["one", "kept", "edited", ""]
    assert len(branch[2].siblings) == 2


async def test_history_ends_where_it_is_more_than_a_process_should_hold(line: Line) -> None:
    chat = await line.chat()
    for number in range(10):
        content = f"{number} ".ljust(LARGEST_WINDOW // 8, "x")
        await line.database.write(add_message, line.user_id, chat.id, content=content, tokens=1)
    opening = await line.database.read(next_opening, line.user_id, chat.id)
    assert [message.content.split()[0] for message in opening.history.messages] == list("23456789")


async def test_a_parent_of_another_chat_is_not_found(line: Line) -> None:
    one, other = await line.chat(), await line.chat()
    turn = await line.ask(one)
    with pytest.raises(NotFound):
        await line.ask(other, parent=turn.user_message_id)
    with pytest.raises(NotFound):
        await line.ask(other, retried=turn.id)


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("Hello", "Hello"),
        ("  two\n lines", "two"),
        ("\n\nlate", "late"),
        ("word " * 30, " ".join(["word"] * 12) + "…"),
        ("x" * 100, "x" * 60 + "…"),
    ],
)
def test_a_title_is_the_first_words(content: str, title: str) -> None:
    assert first_words(content) == title
