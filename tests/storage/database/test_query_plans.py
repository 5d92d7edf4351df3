"""No query on the way of a request reads a whole table: the plan of each names an index."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import Connection as EngineConnection

from storage.chats.chat_history import list_history
from storage.chats.chats import add_message, create_chat, list_chats, load_chat, switch_branch
from storage.conversations.branches import load_branch
from storage.database.columns import new_id, now
from storage.database.opening import migrate
from storage.database.sqlite import make_engine
from storage.people.access import Access, lost_access
from storage.people.credentials import find_credential
from storage.people.users import create_user, find_login, list_users, load_user
from storage.turns.leases import PartialText, attend_turn, interrupt_abandoned, keep_partial_texts, request_stop
from storage.turns.opening import AskedTurn, Opening, Prepared, TurnLimits, begin_turn
from storage.turns.outcomes import Outcome, finish_turn
from storage.turns.persona_revisions import keep_revisions
from storage.turns.rows import TurnState, load_manifest, load_turn, running_turn

LARGE = (
    "message",
    "turn",
    "conversation",
    "conversation_member",
    "auth_session",
    "access_token",
    "user",
    "chat_session",
)


class Plans:
    """Collects the plan of every statement that a connection runs."""

    def __init__(self, engine: Engine) -> None:
        self.seen: dict[str, list[str]] = {}
        self._explaining = False
        event.listen(engine, "before_cursor_execute", self._explain)

    def _explain(
        self, connection: EngineConnection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        if many or statement.startswith(("INSERT", "PRAGMA", "BEGIN", "COMMIT", "EXPLAIN")):
            return
        explained = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        self.seen[statement] = [row[3] for row in explained]


def prepared(opening: Opening) -> Prepared[None]:
    return Prepared(persona_digest="d", model="m", manifest=b"{}", window_start=None, context=None)


def whole_line(connection: Connection) -> None:
    """Every unit that a request may run, once."""
    keep_revisions(connection, {"d": ("mia", b"{}")})
    user = create_user(connection, username="ada", email="a@example.org", password_hash="x")
    find_login(connection, "ada")
    load_user(connection, user.id)
    list_users(connection, limit=10)
    for is_login in (True, False):
        find_credential(connection, b"x" * 32, is_login=is_login, idle=timedelta(days=1))
    chat = create_chat(connection, user.id, persona="mia")
    reading = Access(user_id=user.id, credential_id=user.id, conversation_id=chat.id)
    lost_access(connection, [reading], idle=timedelta(days=1))
    limits = TurnLimits(per_minute=100, concurrent=10)
    replies: list[UUID] = []
    node = new_id()
    for retried in (None, None, "last"):
        asked = AskedTurn(
            user_id=user.id,
            chat_id=chat.id,
            content="x",
            tokens=1,
            retried=turn.id if retried else None,  # noqa: F821
        )
        turn: Any = begin_turn(connection, asked, prepared, limits=limits, node=node, lease=timedelta(seconds=1))
        running_turn(connection, chat.id)
        request_stop(connection, turn.id)
        attend_turn(connection, turn.id)
        so_far = [PartialText(turn.id, turn.reply_message_id, "so far", 2)]
        keep_partial_texts(connection, node, [turn.id], so_far, lease=timedelta(seconds=1))
        outcome = Outcome(state=TurnState.completed, content="y", tokens=1, model="m", events=2, ended_at=now())
        finish_turn(connection, turn.id, turn.reply_message_id, outcome)
        replies.append(turn.reply_message_id)
    load_turn(connection, user.id, turn.id)
    load_manifest(connection, turn.id)
    add_message(connection, user.id, chat.id, content="z", tokens=1)
    load_chat(connection, user.id, chat.id)
    list_chats(connection, user.id, limit=10)
    list_history(connection, user.id, limit=10)
    load_branch(connection, user.id, chat.id, limit=10)
    load_branch(connection, user.id, chat.id, before=replies[1], limit=10)
    load_branch(connection, user.id, chat.id, after=replies[0], limit=10)
    switch_branch(connection, user.id, chat.id, replies[0])
    interrupt_abandoned(connection, now())


def test_no_request_reads_a_whole_table(tmp_path: Any) -> None:
    engine = make_engine(str(tmp_path / "plans.db"))
    with engine.connect() as connection:
        migrate(connection)
        plans = Plans(engine)
        whole_line(connection)
    engine.dispose()
    assert len(plans.seen) > 25
    for statement, plan in plans.seen.items():
        for step in plan:
            scanned = re.match(r"SCAN (\w+)(?! USING (?:COVERING )?INDEX)", step)
            if scanned and scanned[1] in LARGE:
                pytest.fail(f"{step}: {statement}")
