"""Idempotency keys: the same request sent twice opens one turn."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import Column, Connection, LargeBinary, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, col

from storage.database.columns import Table, UTCDateTime, now
from storage.errors import KeyReused

KEPT = timedelta(hours=48)


class IdempotencyRecord(Table, table=True):
    """One key of one person on one route. The turn may be gone since, with its chat."""

    __tablename__ = "idempotency"

    user_id: UUID = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    route: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    fingerprint: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False))
    turn_id: UUID
    created_at: datetime = Field(sa_type=UTCDateTime, index=True)


class IdempotencyKey(msgspec.Struct, frozen=True):
    """A key as it came: `route` is method and path, `fingerprint` the SHA-256 of the body."""

    route: str
    key: str
    fingerprint: bytes


_CLAIM = {
    name: dialect.insert(IdempotencyRecord)
    .values(
        user_id=bindparam("user_id"),
        route=bindparam("route"),
        key=bindparam("key"),
        fingerprint=bindparam("fingerprint"),
        turn_id=bindparam("turn_id"),
        created_at=bindparam("created_at"),
    )
    .on_conflict_do_nothing()
    .returning(col(IdempotencyRecord.turn_id))
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


def claim_key(connection: Connection, user_id: UUID, key: IdempotencyKey, turn_id: UUID) -> UUID | None:
    """Let the key stand for this turn; None, or the earlier turn that it stands for already.

    Raises `KeyReused` when the key came with another body.
    """
    bound = {
        "user_id": user_id,
        "route": key.route,
        "key": key.key,
        "fingerprint": key.fingerprint,
        "turn_id": turn_id,
        "created_at": now(),
    }
    if connection.execute(_CLAIM[connection.dialect.name], bound).first() is not None:
        return None
    earlier = connection.execute(
        select(col(IdempotencyRecord.fingerprint), col(IdempotencyRecord.turn_id)).where(
            col(IdempotencyRecord.user_id) == user_id,
            col(IdempotencyRecord.route) == key.route,
            col(IdempotencyRecord.key) == key.key,
        )
    ).one()
    if bytes(earlier.fingerprint) != key.fingerprint:
        raise KeyReused("This Idempotency-Key came with another body before. Use a new key for a new request.")
    found: UUID = earlier.turn_id
    return found


def forget_old_keys(connection: Connection) -> None:
    """Delete the keys that are kept no longer."""
    connection.execute(delete(IdempotencyRecord).where(col(IdempotencyRecord.created_at) < now() - KEPT))
