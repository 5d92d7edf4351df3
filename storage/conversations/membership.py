"""Who takes part in a conversation of any kind, as its members see and change it."""

from uuid import UUID

from sqlalchemy import Connection

from storage.chats.chat_history import append_to_history, remove_from_history
from storage.conversations.conversations import (
    ConversationKind,
    Member,
    MemberRole,
    list_members,
    put_member,
    remove_member,
)
from storage.conversations.policy import Action
from storage.conversations.visibility import require_action


def members_of(connection: Connection, asker: UUID, kind: ConversationKind, conversation_id: UUID) -> list[Member]:
    """Who takes part; anyone who sees the conversation may know."""
    require_action(connection, asker, kind, conversation_id, Action.read)
    return list_members(connection, conversation_id)


def put_member_of(
    connection: Connection,
    asker: UUID,
    kind: ConversationKind,
    conversation_id: UUID,
    user_id: UUID,
    role: MemberRole,
) -> None:
    """Add a person or change their role; a chat comes at the end of the history of who is new in it."""
    require_action(connection, asker, kind, conversation_id, Action.change_members)
    if put_member(connection, conversation_id, user_id, role) and kind is ConversationKind.chat:
        append_to_history(connection, user_id, conversation_id)


def remove_member_of(
    connection: Connection, asker: UUID, kind: ConversationKind, conversation_id: UUID, user_id: UUID
) -> None:
    """Take a person out: the owner anybody, everybody themselves.

    Raises `Forbidden` for a viewer who would leave an open thread: they would come back as a member.
    """
    is_leaving = asker == user_id
    action = Action.leave if is_leaving else Action.change_members
    require_action(connection, asker, kind, conversation_id, action)
    remove_member(connection, conversation_id, user_id, is_leaving=is_leaving)
    if kind is ConversationKind.chat:
        remove_from_history(connection, user_id, conversation_id)
