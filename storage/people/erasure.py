"""Deleting a person: their account and all that is theirs, in one unit."""

from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, select
from sqlmodel import col

from storage.chats.chat_sessions import ChatSession, Context
from storage.conversations.conversations import Conversation
from storage.people.audit_log import record
from storage.people.users import User, require_other_admin

_HOLD = select(col(Conversation.id)).where(col(Conversation.owner_id) == bindparam("user_id")).with_for_update()
_LOCK = select(col(User.id)).where(col(User.id) == bindparam("user_id")).with_for_update()
_CONTEXTS = (
    select(col(ChatSession.context_id))
    .join(Conversation, col(Conversation.id) == col(ChatSession.conversation_id))
    .where(col(Conversation.owner_id) == bindparam("user_id"))
)


def delete_user(connection: Connection, user_id: UUID) -> None:
    """Delete an account with its logins, tokens, conversations and their data.

    What the person said in other people's conversations stays, without a name. Raises `LastAdmin` for the last admin.
    """
    require_other_admin(connection, user_id)
    connection.execute(_HOLD, {"user_id": user_id})  # before the person, as who says something in them does
    connection.execute(_LOCK, {"user_id": user_id})  # no chat of theirs can be opened meanwhile
    contexts = [{"gone": context_id} for context_id in connection.execute(_CONTEXTS, {"user_id": user_id}).scalars()]
    connection.execute(delete(Conversation).where(col(Conversation.owner_id) == user_id))
    if contexts:
        connection.execute(delete(Context).where(col(Context.id) == bindparam("gone")), contexts)
    connection.execute(delete(User).where(col(User.id) == user_id))
    record(connection, user_id, "user.deleted", str(user_id))
