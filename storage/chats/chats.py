"""Chats as their members see and change them.

Every function takes who asks as its second argument, and finds only the chats that they take part in.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, Select, bindparam, delete, insert, select, text, tuple_, update
from sqlmodel import col

from providers.messages import Role
from storage.chats.chat_history import append_to_history
from storage.chats.chat_sessions import (
    ChatSession,
    Context,
    create_session,
    replace_session_data,
    session_data,
    set_active_leaf,
)
from storage.conversations.conversations import (
    Conversation,
    ConversationKind,
    ConversationMember,
    MemberRole,
    add_owner,
    put_member,
)
from storage.conversations.messages import Message, add_messages, message_row, take_seq
from storage.conversations.policy import Action, require
from storage.database.columns import new_id, now
from storage.errors import Conflict, NotFound
from storage.turns.rows import Turn


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """A chat as one of its members sees it; `role` is theirs."""

    id: UUID
    title: str
    persona: str
    channel: str
    owner_id: UUID
    role: MemberRole
    active_leaf: UUID | None
    running_turn: UUID | None
    created_at: datetime
    updated_at: datetime


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """What a persona says first, stored as the chat's first message."""

    content: str
    tokens: int
    persona_digest: str


_CHATS: Select[*tuple[Any, ...]] = (
    select(
        col(Conversation.id),
        col(Conversation.title),
        col(ChatSession.persona),
        col(ChatSession.channel),
        col(Conversation.owner_id),
        col(ConversationMember.role),
        col(ChatSession.active_leaf),
        col(Turn.id).label("running_turn"),
        col(Conversation.created_at),
        col(Conversation.updated_at),
    )
    .select_from(ConversationMember)
    .join(Conversation, col(Conversation.id) == col(ConversationMember.conversation_id))
    .join(ChatSession, col(ChatSession.conversation_id) == col(Conversation.id))
    .outerjoin(Turn, (col(Turn.conversation_id) == col(Conversation.id)) & (col(Turn.state) == text("'running'")))
    .where(col(ConversationMember.user_id) == bindparam("asker"))
)
_ONE_CHAT = _CHATS.where(col(Conversation.id) == bindparam("chat"))


def create_chat(
    connection: Connection,
    asker: UUID,
    *,
    persona: str,
    title: str = "",
    channel: str = "web",
    data: dict[str, Any] | None = None,
    participants: tuple[UUID, ...] = (),
    greeting: Greeting | None = None,
) -> Chat:
    """Open a chat with a persona. Raises `NotFound` for a participant that does not exist."""
    chat_id = new_id()
    moment = now()
    connection.execute(
        insert(Conversation).values(
            id=chat_id,
            kind=ConversationKind.chat,
            owner_id=asker,
            title=title,
            last_seq=0,
            created_at=moment,
            updated_at=moment,
        )
    )
    create_session(connection, chat_id, persona=persona, channel=channel, data=data or {})
    add_owner(connection, chat_id, asker)
    append_to_history(connection, asker, chat_id)
    for participant in participants:
        if participant != asker and put_member(connection, chat_id, participant, MemberRole.member):
            append_to_history(connection, participant, chat_id)
    if greeting is not None:
        message_id = new_id()
        add_messages(
            connection,
            message_row(
                id=message_id,
                conversation_id=chat_id,
                seq=take_seq(connection, chat_id, 1),
                role=Role.assistant,
                content=greeting.content,
                tokens=greeting.tokens,
                parent_id=None,
                persona=persona,
                persona_digest=greeting.persona_digest,
            ),
        )
        set_active_leaf(connection, chat_id, message_id)
    return load_chat(connection, asker, chat_id)


def load_chat(connection: Connection, asker: UUID, chat_id: UUID, action: Action = Action.read) -> Chat:
    """A chat that the asker takes part in. Raises `NotFound`, or `Forbidden` when their role may not do this."""
    row = connection.execute(_ONE_CHAT, {"asker": asker, "chat": chat_id}).first()
    if row is None:
        raise NotFound("There is no such chat.")
    require(ConversationKind.chat, action, row.role)
    return _chat(row)


def list_chats(
    connection: Connection,
    asker: UUID,
    *,
    after: tuple[datetime, UUID] | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int,
) -> list[Chat]:
    """The asker's chats, the latest used first, after or before a place in that order (exclusive)."""
    updated, chat_id = col(Conversation.updated_at), col(Conversation.id)
    order = tuple_(updated, chat_id)
    query = _CHATS.limit(limit)
    bound = {"asker": asker}
    if before is not None:
        later = query.where(order > tuple_(*before)).order_by(updated, chat_id)
        return [_chat(row) for row in connection.execute(later, bound).all()[::-1]]
    if after is not None:
        query = query.where(order < tuple_(*after))
    return [_chat(row) for row in connection.execute(query.order_by(updated.desc(), chat_id.desc()), bound)]


def rename_chat(connection: Connection, asker: UUID, chat_id: UUID, title: str) -> None:
    """Give a chat another title; takes a moderator of it."""
    load_chat(connection, asker, chat_id, Action.rename)
    connection.execute(update(Conversation).where(col(Conversation.id) == chat_id).values(title=title))


def switch_branch(connection: Connection, asker: UUID, chat_id: UUID, message_id: UUID) -> None:
    """Show and continue the newest branch through a message; takes a member, and no running turn."""
    if load_chat(connection, asker, chat_id, Action.switch_branch).running_turn is not None:
        raise Conflict("A reply is still being written in this chat. Wait for it, or stop it first.")
    leaf = connection.execute(_NEWEST_LEAF, {"conversation": chat_id, "message": message_id}).scalar()
    if leaf is None:
        raise NotFound("There is no such message in this chat.")
    set_active_leaf(connection, chat_id, leaf)


def delete_chat(connection: Connection, asker: UUID, chat_id: UUID) -> None:
    """Delete a chat and all that was said in it; only its owner may."""
    load_chat(connection, asker, chat_id, Action.delete)
    context_id = connection.execute(
        select(col(ChatSession.context_id)).where(col(ChatSession.conversation_id) == chat_id)
    ).scalar_one()
    connection.execute(delete(Conversation).where(col(Conversation.id) == chat_id))
    connection.execute(delete(Context).where(col(Context.id) == context_id))


def add_message(
    connection: Connection, asker: UUID, chat_id: UUID, *, content: str, tokens: int, parent: Any = msgspec.UNSET
) -> UUID:
    """Say something without asking for a reply; takes a member, and no running turn. Gives the message's id."""
    chat = load_chat(connection, asker, chat_id, Action.say)
    if chat.running_turn is not None:
        raise Conflict("A reply is still being written in this chat. Wait for it, or stop it first.")
    parent_id = chat.active_leaf if parent is msgspec.UNSET else parent
    window_start = None
    if parent_id is not None:
        row = connection.execute(
            select(col(Message.window_start)).where(
                col(Message.conversation_id) == chat_id, col(Message.id) == parent_id
            )
        ).first()
        if row is None:
            raise NotFound("There is no such parent message in this chat.")
        window_start = row.window_start
    message_id = new_id()
    add_messages(
        connection,
        message_row(
            id=message_id,
            conversation_id=chat_id,
            seq=take_seq(connection, chat_id, 1),
            role=Role.user,
            content=content,
            tokens=tokens,
            parent_id=parent_id,
            sender_id=asker,
            window_start=window_start,
        ),
    )
    set_active_leaf(connection, chat_id, message_id)
    return message_id


def load_session_data(connection: Connection, asker: UUID, chat_id: UUID) -> dict[str, Any]:
    """The data of a chat's session; any member may read it."""
    load_chat(connection, asker, chat_id)
    return session_data(connection, chat_id)


def set_session_data(connection: Connection, asker: UUID, chat_id: UUID, data: dict[str, Any]) -> None:
    """Replace the data of a chat's session; takes a member."""
    load_chat(connection, asker, chat_id, Action.replace_data)
    replace_session_data(connection, chat_id, data)


def _newest_leaf() -> Any:
    """The newest message of all that descend from one, itself included."""
    start = (
        select(col(Message.id), col(Message.seq))
        .where(col(Message.conversation_id) == bindparam("conversation"), col(Message.id) == bindparam("message"))
        .cte("down", recursive=True)
    )
    below = start.union_all(
        select(col(Message.id), col(Message.seq)).join(
            start, (col(Message.conversation_id) == bindparam("conversation")) & (col(Message.parent_id) == start.c.id)
        )
    )
    return select(below.c.id).order_by(below.c.seq.desc()).limit(1)


_NEWEST_LEAF = _newest_leaf()


def _chat(row: Row[Any]) -> Chat:
    return Chat(
        id=row.id,
        title=row.title,
        persona=row.persona,
        channel=row.channel,
        owner_id=row.owner_id,
        role=MemberRole(row.role),
        active_leaf=row.active_leaf,
        running_turn=row.running_turn,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
