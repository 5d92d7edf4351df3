"""Who may see what, as part of the query: a row that is not visible is not found.

People see the conversations that they take part in and the threads that are open to everyone, and nothing of others'
but names.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, case, select
from sqlmodel import col

from storage.conversations.conversations import Conversation, ConversationKind, ConversationMember, MemberRole
from storage.conversations.policy import Action, require
from storage.errors import NotFound
from storage.people.users import User, UserRole
from storage.threads.rows import Thread, Visibility

_IS_OPEN = col(Thread.visibility) == Visibility.everyone

ROLE: ColumnElement[str | None] = case(
    (col(ConversationMember.role).in_((MemberRole.moderator, MemberRole.owner)), col(ConversationMember.role)),
    (and_(_IS_OPEN, col(User.role) != UserRole.member), MemberRole.moderator),
    (col(ConversationMember.role).is_not(None), col(ConversationMember.role)),
    (_IS_OPEN, MemberRole.member),
)
"""What who asks is in a conversation; NULL where it is not theirs to see.

In a thread that is open to everyone, people of the gateway are members unless they were made viewers, and its
moderators and admins are moderators.
"""


def takes_part(conversation_id: Any) -> ColumnElement[bool]:
    """The join condition on `ConversationMember` for who asks, bound as `asker`."""
    return and_(
        col(ConversationMember.conversation_id) == conversation_id,
        col(ConversationMember.user_id) == bindparam("asker"),
    )


def of_visible(*columns: Any) -> Select[*tuple[Any, ...]]:
    """These columns, and `role`, of the conversations of every kind that `asker` sees."""
    return (
        select(*columns, ROLE.label("role"))
        .select_from(Conversation)
        .join(User, col(User.id) == bindparam("asker"))
        .outerjoin(Thread, col(Thread.conversation_id) == col(Conversation.id))
        .outerjoin(ConversationMember, takes_part(col(Conversation.id)))
        .where(ROLE.is_not(None))
    )


_ROLE_IN = of_visible().where(
    col(Conversation.id) == bindparam("conversation"), col(Conversation.kind) == bindparam("kind")
)


def require_action(
    connection: Connection, asker: UUID, kind: ConversationKind, conversation_id: UUID, action: Action
) -> MemberRole:
    """The asker's role in a conversation of this kind.

    Raises `NotFound` for one that they do not see, and `Forbidden` when their role may not do this.
    """
    bound = {"asker": asker, "conversation": conversation_id, "kind": kind}
    role = connection.execute(_ROLE_IN, bound).scalar()
    if role is None:
        raise NotFound(f"There is no such {kind}.")
    require(kind, action, role)
    return MemberRole(role)
