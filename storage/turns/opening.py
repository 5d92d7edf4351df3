"""Opening a turn: one user message and all that it will cause, written in one unit before any provider is asked.

The other end, once the model has spoken, is `storage.turns.outcomes.finish_turn`.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Connection, bindparam, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased
from sqlmodel import col

from providers.messages import ChatHistory, HistoryMessage, Role
from storage.chats.chat_sessions import ChatSession, Context, data_as_text, set_active_leaf
from storage.conversations.conversations import Conversation, ConversationKind, ConversationMember
from storage.conversations.messages import Message, MessageState, add_messages, message_row, read_window, take_seq
from storage.conversations.policy import Action, require
from storage.conversations.visibility import takes_part
from storage.database.columns import new_id, now
from storage.database.statements import Statement
from storage.errors import AllowanceSpent, NotFound, TurnRunning
from storage.people.allowances import spend
from storage.people.users import User
from storage.turns.idempotency import IdempotencyKey, claim_key
from storage.turns.rows import Turn, TurnState

T = TypeVar("T")


class TurnLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one person may ask: turns a minute (also the burst), and turns that run at a time."""

    per_minute: int
    concurrent: int


class AskedTurn(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks for.

    Either `content` with its `tokens` continues the branch at `parent` (UNSET: the active leaf; None: the root), or
    `retried` names a turn whose user message is answered once more.
    """

    user_id: UUID
    chat_id: UUID
    content: str = ""
    tokens: int = 0
    parent: UUID | msgspec.UnsetType | None = msgspec.UNSET
    retried: UUID | None = None
    key: IdempotencyKey | None = None


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What the Context of a turn is made from, read in the unit that opens the turn."""

    persona: str
    history: ChatHistory
    message: HistoryMessage
    session_data: str
    user_name: str


class Prepared(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What the assembler made of an `Opening`: `context` is passed through, the rest is stored with the turn."""

    persona_digest: str
    model: str
    manifest: bytes
    window_start: UUID | None
    context: T


class OpenTurn(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A turn that was opened just now."""

    id: UUID
    chat_id: UUID
    user_id: UUID
    user_message_id: UUID
    reply_message_id: UUID
    started_at: datetime
    opening: Opening
    prepared: Prepared[T]


class RepeatedTurn(msgspec.Struct, frozen=True):
    """The turn that an idempotency key stands for already."""

    id: UUID


_OTHER = aliased(Turn)
_OPEN = Statement(
    select(
        col(ConversationMember.role),
        col(Conversation.title),
        col(ChatSession.persona),
        col(ChatSession.active_leaf),
        col(Context.data),
        col(User.display_name),
        col(Message.window_start),
        col(Turn.id).label("running"),
        select(func.count())
        .select_from(_OTHER)
        .where(col(_OTHER.user_id) == bindparam("asker"), col(_OTHER.state) == text("'running'"))
        .scalar_subquery()
        .label("running_of_user"),
    )
    .select_from(Conversation)
    .join(ConversationMember, takes_part(col(Conversation.id)))
    .join(User, col(User.id) == col(ConversationMember.user_id))
    .join(ChatSession, col(ChatSession.conversation_id) == col(Conversation.id))
    .join(Context, col(Context.id) == col(ChatSession.context_id))
    .outerjoin(Message, col(Message.id) == col(ChatSession.active_leaf))
    .outerjoin(Turn, (col(Turn.conversation_id) == col(Conversation.id)) & (col(Turn.state) == text("'running'")))
    .where(col(Conversation.id) == bindparam("conversation"))
)
_PARENT = Statement(
    select(col(Message.window_start)).where(
        col(Message.conversation_id) == bindparam("conversation"), col(Message.id) == bindparam("parent")
    )
)
_RETRIED = Statement(
    select(
        col(Message.id),
        col(Message.parent_id),
        col(Message.content),
        col(Message.tokens),
        col(Message.window_start),
    )
    .join(Turn, col(Turn.user_message_id) == col(Message.id))
    .where(col(Turn.id) == bindparam("turn"), col(Turn.conversation_id) == bindparam("conversation"))
)
_INSERT = Statement(insert(Turn))
_NAME_CHAT = Statement(
    update(Conversation)
    .where(col(Conversation.id) == bindparam("conversation"), col(Conversation.title) == "")
    .values(title=bindparam("words"))
)


def begin_turn(
    connection: Connection,
    asked: AskedTurn,
    prepare: Callable[[Opening], Prepared[T]],
    *,
    limits: TurnLimits,
    node: UUID,
    lease: timedelta,
) -> OpenTurn[T] | RepeatedTurn:
    """Open a turn: check, assemble, and write the user's message, an empty reply and the turn.

    `prepare` is pure and runs inside the unit, so that a message which cannot be sent leaves no trace, and what was
    sent is stored before it is sent. Raises `NotFound` for a chat, parent or turn that the person cannot see,
    `Forbidden` for a viewer, `TurnRunning`, `AllowanceSpent`, `KeyReused`, and whatever `prepare` raises.
    """
    turn_id = new_id()
    if asked.key is not None:
        earlier = claim_key(connection, asked.user_id, asked.key, turn_id)
        if earlier is not None:
            _open_chat(connection, asked)
            return RepeatedTurn(earlier)
    spend(
        connection,
        f"turns:{asked.user_id}",
        burst=limits.per_minute,
        interval=60 / limits.per_minute,
        sentence=f"You may ask {limits.per_minute} turns a minute. Wait a moment.",
    )
    chat = _open_chat(connection, asked)
    require(ConversationKind.chat, Action.say, chat.role)
    if chat.running is not None:
        raise TurnRunning(chat.running)
    if chat.running_of_user >= limits.concurrent:
        raise AllowanceSpent(f"You have {limits.concurrent} replies running. Wait for one, or stop one.", retry_after=5)
    message, parent_id, inherited = _message(connection, asked, chat)
    opening = _opening(connection, asked, chat, message, parent_id, inherited)
    prepared = prepare(opening)
    reply_id = new_id()
    is_new = asked.retried is None
    seq = take_seq(connection, asked.chat_id, 2 if is_new else 1)
    reply = message_row(
        id=reply_id,
        conversation_id=asked.chat_id,
        seq=seq + is_new,
        role=Role.assistant,
        content="",
        tokens=0,
        parent_id=message.id,
        persona=chat.persona,
        persona_digest=prepared.persona_digest,
        state=MessageState.running,
        window_start=prepared.window_start,
    )
    if is_new:
        said = message_row(
            id=message.id,
            conversation_id=asked.chat_id,
            seq=seq,
            role=Role.user,
            content=message.content,
            tokens=message.tokens,
            parent_id=parent_id,
            sender_id=asked.user_id,
            window_start=inherited,
        )
        add_messages(connection, said, reply)
        if not chat.title:
            _NAME_CHAT.run(connection, {"conversation": asked.chat_id, "words": first_words(message.content)})
    else:
        add_messages(connection, reply)
    moment = now()
    try:
        _INSERT.run(
            connection,
            {
                "id": turn_id,
                "conversation_id": asked.chat_id,
                "user_id": asked.user_id,
                "user_message_id": message.id,
                "reply_message_id": reply_id,
                "state": TurnState.running,
                "persona": chat.persona,
                "persona_digest": prepared.persona_digest,
                "model": prepared.model,
                "manifest": prepared.manifest,
                "notices": "[]",
                "stop_requested": False,
                "node": node,
                "leased_until": moment + lease,
                "started_at": moment,
            },
        )
    except IntegrityError as error:
        if "turn" in str(error.orig) and "persona_digest" not in str(error.orig):
            raise TurnRunning(None) from None
        raise
    set_active_leaf(connection, asked.chat_id, reply_id)
    return OpenTurn(
        id=turn_id,
        chat_id=asked.chat_id,
        user_id=asked.user_id,
        user_message_id=message.id,
        reply_message_id=reply_id,
        started_at=moment,
        opening=opening,
        prepared=prepared,
    )


def next_opening(connection: Connection, asker: UUID, chat_id: UUID) -> Opening:
    """What the Context of a next turn would be made from, with an empty message. Raises `NotFound`."""
    asked = AskedTurn(user_id=asker, chat_id=chat_id)
    chat = _open_chat(connection, asked)
    return _opening(connection, asked, chat, *_message(connection, asked, chat))


def first_words(content: str, longest: int = 60) -> str:
    """A chat's title from its first message: its first line, cut between words."""
    line = " ".join(content.split("\n", 1)[0].split()) or " ".join(content.split())
    if len(line) <= longest:
        return line or "…"
    return (line[:longest].rsplit(" ", 1)[0] or line[:longest]) + "…"


def _open_chat(connection: Connection, asked: AskedTurn) -> Any:
    row = _OPEN.first(connection, {"asker": asked.user_id, "conversation": asked.chat_id})
    if row is None:
        raise NotFound("There is no such chat.")
    return row


def _opening(
    connection: Connection,
    asked: AskedTurn,
    chat: Any,
    message: HistoryMessage,
    parent_id: UUID | None,
    inherited: UUID | None,
) -> Opening:
    return Opening(
        persona=chat.persona,
        history=ChatHistory(read_window(connection, asked.chat_id, parent_id, inherited), inherited),
        message=message,
        session_data=data_as_text(chat.data),
        user_name=chat.display_name,
    )


def _message(connection: Connection, asked: AskedTurn, chat: Any) -> tuple[HistoryMessage, UUID | None, UUID | None]:
    """The user message of the turn, its parent, and the window start that it inherits."""
    if asked.retried is not None:
        row = _RETRIED.first(connection, {"turn": asked.retried, "conversation": asked.chat_id})
        if row is None:
            raise NotFound("There is no such turn.")
        return HistoryMessage(row.id, Role.user, row.content, row.tokens), row.parent_id, row.window_start
    message = HistoryMessage(new_id(), Role.user, asked.content, asked.tokens)
    if asked.parent is msgspec.UNSET:
        return message, chat.active_leaf, chat.window_start
    if asked.parent is None:
        return message, None, None
    parent = _PARENT.first(connection, {"conversation": asked.chat_id, "parent": asked.parent})
    if parent is None:
        raise NotFound("There is no such parent message in this chat.")
    return message, asked.parent, parent.window_start
