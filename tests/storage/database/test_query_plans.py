"""No query on the way of a request reads a whole table or index: what it reads does not grow with the tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from storage.chats.chat_history import list_history
from storage.chats.chats import (
    add_message,
    create_chat,
    delete_chat,
    list_chats,
    load_chat,
    load_session_data,
    rename_chat,
    set_session_data,
    switch_branch,
)
from storage.conversations.branches import load_branch
from storage.conversations.conversations import ConversationKind, MemberRole
from storage.conversations.membership import members_of, put_member_of, remove_member_of
from storage.conversations.messages import read_texts
from storage.database.columns import new_id, now
from storage.database.opening import migrate
from storage.database.sqlite import make_engine
from storage.people.access import Access, lost_access
from storage.people.allowances import Use, forget_full_allowances, give_back, restore, spend_all
from storage.people.credentials import (
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
from storage.people.erasure import delete_user
from storage.people.setup import admin_is_made, set_setup_code
from storage.people.users import (
    UserRole,
    change_standing,
    create_user,
    find_login,
    find_password_hash,
    list_users,
    load_user,
    replace_password_hash,
    update_profile,
)
from storage.threads.messages import list_messages, list_pinned, list_replies, list_revisions
from storage.threads.reading import list_accesses, mark_read, note_access
from storage.threads.rows import Visibility
from storage.threads.threads import ThreadChange, change_thread, create_thread, delete_thread, list_threads
from storage.threads.writing import delete_message, edit_message, hide_message, pin_message, post_message, react
from storage.turns.idempotency import IdempotencyKey, forget_old_keys
from storage.turns.leases import PartialText, attend_turn, interrupt_abandoned, keep_partial_texts, request_stop
from storage.turns.opening import AskedTurn, Opening, Prepared, TurnLimits, begin_turn
from storage.turns.outcomes import Outcome, finish_turn
from storage.turns.persona_revisions import keep_revisions, load_revision
from storage.turns.rows import TurnState, load_asked_turn, load_manifest, load_turn, running_turn

BOUNDED = {
    "SCAN CONSTANT ROW": "values of the statement itself",
    "SCAN up": "the branch above a message, up to a limit or to the start of the window",
    "SCAN anon_1": "a page of such a branch",
    "SCAN anon_2": "a page of the threads that are open to everyone, and of one's own",
    "SCAN down": "what descends from one message",
    "SCAN turn USING INDEX uq_turn_running": "a partial index, of the running turns only",
    "SCAN setup": "one row",
}
"""What is read as a whole, and why that does not grow with the tables."""

SELDOM = {
    "SELECT count(*) AS count_1 \nFROM user \nWHERE user.role = 'admin'": "before an admin is demoted or deleted",
    "DELETE FROM user WHERE user.id": "when people delete their account, what they asked stays without a name",
    "DELETE FROM auth_session WHERE auth_session.expires_at": "upkeep, every ten minutes",
    "DELETE FROM access_token WHERE access_token.expires_at": "upkeep, every ten minutes",
}
"""Statements that do read a growing table, and when. Long units, but for the first."""


@contextmanager
def plans(connection: Connection) -> Iterator[dict[str, list[str]]]:
    """Collects, by statement, the plans of all that SQLite runs meanwhile, however it came there, with its values."""
    raw: Any = connection.connection.dbapi_connection
    statements: dict[str, None] = {}
    collected: dict[str, list[str]] = {}
    raw.set_trace_callback(lambda statement: statements.setdefault(statement))
    yield collected
    raw.set_trace_callback(None)
    for statement in statements:
        if statement.startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
            collected[statement] = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}")]


def prepared(opening: Opening) -> Prepared[None]:
    return Prepared(persona_digest="d", model="m", manifest=b"{}", window_start=None, context=None)


def whole_line(connection: Connection) -> None:
    """Every unit of the turn, once."""
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
            key=IdempotencyKey("POST /turns", str(len(replies)), b"x"),
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
    for asker in (user.id, None):
        load_asked_turn(connection, turn.id, asker)
    load_revision(connection, "d")
    add_message(connection, user.id, chat.id, content="z", tokens=1)
    load_chat(connection, user.id, chat.id)
    list_chats(connection, user.id, limit=10)
    list_history(connection, user.id, limit=10)
    load_branch(connection, user.id, chat.id, limit=10)
    load_branch(connection, user.id, chat.id, before=replies[1], limit=10)
    load_branch(connection, user.id, chat.id, after=replies[0], limit=10)
    switch_branch(connection, user.id, chat.id, replies[0])
    interrupt_abandoned(connection, now())
    threads(connection, user.id)


def threads(connection: Connection, user_id: UUID) -> None:
    """Every unit of threads that a request may run, once."""
    kind = ConversationKind.thread
    other = create_user(connection, username="carl", email=None, password_hash="x").id
    thread = create_thread(connection, user_id, title="t", visibility=Visibility.everyone)
    place = (thread.active_at, thread.id)
    list_threads(connection, user_id, limit=10)
    list_threads(connection, user_id, after=place, limit=10)
    list_threads(connection, user_id, before=place, limit=10)
    put_member_of(connection, user_id, kind, thread.id, other, MemberRole.member)
    put_member_of(connection, user_id, kind, thread.id, other, MemberRole.viewer)
    members_of(connection, other, kind, thread.id)
    remove_member_of(connection, user_id, kind, thread.id, other)
    change_thread(connection, user_id, thread.id, ThreadChange(title="u", locked=True))
    change_thread(connection, user_id, thread.id, ThreadChange(locked=False))
    said = [
        post_message(connection, user_id, thread.id, content="x", tokens=1, parent_id=parent)
        for parent in [None]
        for _ in range(3)
    ]
    post_message(connection, other, thread.id, content="y @carl", tokens=1, parent_id=said[0].id)
    for places in ({}, {"after": 1}, {"before": 3}):
        list_messages(connection, other, thread.id, limit=10, **places)
        list_replies(connection, other, said[0].id, limit=10, **places)
        list_revisions(connection, other, said[0].id, limit=10, **places)
    edit_message(connection, user_id, said[0].id, content="z", tokens=1)
    for given in (True, False):
        react(connection, user_id, said[0].id, "👍", given=given)
    for pinned in (True, False):
        pin_message(connection, user_id, said[0].id, pinned=pinned)
    list_pinned(connection, user_id, thread.id)
    for hidden in (True, False):
        hide_message(connection, user_id, said[0].id, hidden=hidden)
    delete_message(connection, user_id, said[0].id)
    mark_read(connection, user_id, thread.id, said[1].id)
    seen = note_access(connection, user_id, thread.id, said[1].id)
    list_accesses(connection, user_id, thread.id, limit=10)
    list_accesses(connection, user_id, thread.id, after=seen.id, limit=10)
    list_accesses(connection, user_id, thread.id, before=seen.id, limit=10)
    delete_thread(connection, user_id, thread.id)


def others(connection: Connection) -> None:
    """Every unit beside the turn's, once."""
    set_setup_code(connection, b"x")
    admin_is_made(connection)
    admin = create_user(connection, username="root", email="r@example.org", password_hash="x", role=UserRole.admin)
    eve = create_user(connection, username="eve", email="e@example.org", password_hash="x")
    bob = create_user(connection, username="bob", email="b@example.org", password_hash="x")
    for after, before in ((None, None), ("bob", None), (None, "bob")):
        list_users(connection, after=after, before=before, limit=10)
    update_profile(connection, eve.id, display_name="Eve")
    for role in (UserRole.admin, UserRole.moderator):
        change_standing(connection, admin.id, bob.id, role=role)
    assert find_password_hash(connection, eve.id) == "x"
    replace_password_hash(connection, eve.id, "y", proven="x")
    day = timedelta(days=1)
    login = open_login(connection, eve.id, proven="y", token_hash=b"a", user_agent="", lifetime=day)
    mark_seen(connection, login, is_login=True)
    list_logins(connection, eve.id)
    token = create_access_token(
        connection, eve.id, name="t", token_hash=b"b", display="gw", scopes=["chats:read"], lifetime=day
    )
    mark_seen(connection, token.id, is_login=False)
    list_access_tokens(connection, eve.id)
    revoke_access_token(connection, eve.id, token.id)
    change_password(connection, eve.id, "z", proven="y", keep=login, revoke_tokens=True)
    end_login(connection, eve.id, login)
    end_logins(connection, eve.id)
    reset_password(connection, eve.id, "x")
    spend_all(connection, [Use("a", 5, 1.0), Use("b", 5, 1.0)], sentence="Too many.")
    give_back(connection, Use("a", 5, 1.0))
    restore(connection, "a")
    chat = create_chat(connection, eve.id, persona="mia", participants=(bob.id,))
    for place in ({}, {"after": (now(), chat.id)}, {"before": (now(), chat.id)}):
        list_chats(connection, eve.id, limit=10, **place)
    for position in ({}, {"after": 1}, {"before": 1}):
        list_history(connection, eve.id, limit=10, **position)
    rename_chat(connection, eve.id, chat.id, "Titled")
    load_session_data(connection, eve.id, chat.id)
    set_session_data(connection, eve.id, chat.id, {"city": "Ulm"})
    kind = ConversationKind.chat
    members_of(connection, eve.id, kind, chat.id)
    put_member_of(connection, eve.id, kind, chat.id, admin.id, MemberRole.viewer)
    remove_member_of(connection, eve.id, kind, chat.id, admin.id)
    said = add_message(connection, eve.id, chat.id, content="x", tokens=1)
    read_texts(connection, chat.id, [said])
    delete_chat(connection, eve.id, chat.id)
    delete_user(connection, bob.id)
    for forget in (forget_full_allowances, forget_old_keys, forget_expired_credentials):
        forget(connection)


def test_no_request_reads_a_whole_table(tmp_path: Path) -> None:
    engine = make_engine(str(tmp_path / "plans.db"))
    with engine.connect() as connection:
        migrate(connection)
        with plans(connection) as collected:
            whole_line(connection)
            others(connection)
    engine.dispose()
    assert len(collected) > 150
    scans = {(step, statement) for statement, plan in collected.items() for step in plan if step.startswith("SCAN")}
    seldom = {scan for scan in scans if scan[1].startswith(tuple(SELDOM))}
    assert [scan for scan in scans - seldom if scan[0] not in BOUNDED] == []
    assert {step for step, _ in scans - seldom} == set(BOUNDED), "one is not read as a whole any more"
    assert all(any(statement.startswith(one) for _, statement in seldom) for one in SELDOM), "one is read by index now"
