"""Who may see what, as part of the query: a row that is not visible is not found.

People see the conversations that they take part in, and nothing of others' but names.
"""

from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam
from sqlmodel import col

from storage.conversations.conversations import ConversationMember, MemberRole
from storage.errors import Forbidden


def takes_part(conversation_id: Any) -> ColumnElement[bool]:
    """The join condition on `ConversationMember` for who asks, bound as `asker`."""
    return and_(
        col(ConversationMember.conversation_id) == conversation_id,
        col(ConversationMember.user_id) == bindparam("asker"),
    )


def require_role(actual: str, needed: MemberRole) -> None:
    """Raise `Forbidden` when a visible conversation is not theirs to change so."""
    if not MemberRole(actual).includes(needed):
        raise Forbidden(f"In this conversation you are a {actual}; this takes a {needed}.")
