"""Whether people who were let in still would be: asked of many at once, by those who hold answers open."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy import Connection, bindparam, select, tuple_, union_all
from sqlmodel import col

from storage.conversations.conversations import Conversation, ConversationMember
from storage.database.columns import now
from storage.people.credentials import LOGIN_STANDS, TOKEN_STANDS, AccessToken, AuthSession
from storage.people.users import User


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """What lets a person read: their credential, and their place in a conversation (None: the credential alone)."""

    user_id: UUID
    credential_id: UUID
    conversation_id: UUID | None


class Lost(msgspec.Struct, frozen=True):
    """What people have no more: credentials, and places as (conversation, person)."""

    credentials: set[UUID]
    places: set[tuple[UUID, UUID]]


_CREDENTIALS = union_all(
    select(col(AuthSession.id))
    .join(User, col(User.id) == col(AuthSession.user_id))
    .where(col(AuthSession.id).in_(bindparam("credentials", expanding=True)), *LOGIN_STANDS),
    select(col(AccessToken.id))
    .join(User, col(User.id) == col(AccessToken.user_id))
    .where(col(AccessToken.id).in_(bindparam("credentials", expanding=True)), *TOKEN_STANDS),
)
_PLACE = (col(ConversationMember.conversation_id), col(ConversationMember.user_id))
_PLACES = select(*_PLACE).where(tuple_(*_PLACE).in_(bindparam("places", expanding=True)))
_EXISTING = select(col(Conversation.id)).where(col(Conversation.id).in_(bindparam("conversations", expanding=True)))


def lost_access(connection: Connection, accesses: Collection[Access], *, idle: timedelta) -> Lost:
    """What of these has ended: credentials that expired, were revoked or idle for longer than `idle`, or whose person
    was shut out, and places of people who were taken out. A conversation that was deleted is nobody's loss: what is
    read of it tells its end itself."""
    moment = now()
    credentials = {access.credential_id for access in accesses}
    asked = {"credentials": list(credentials), "moment": moment, "seen_since": moment - idle}
    standing = set(connection.execute(_CREDENTIALS, asked).scalars())
    places = {(access.conversation_id, access.user_id) for access in accesses if access.conversation_id is not None}
    left = places - {(place, person) for place, person in connection.execute(_PLACES, {"places": list(places)})}
    existing: set[UUID] = set()
    if left:
        existing = set(connection.execute(_EXISTING, {"conversations": [place for place, _ in left]}).scalars())
    return Lost(credentials - standing, {place for place in left if place[0] in existing})
