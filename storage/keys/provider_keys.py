"""The provider keys we hold, sealed by the vault; nothing here ever sees one in clear.

Only the operator's command line changes them, so that is who the audit log names: nobody.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, UniqueConstraint, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, col

from storage.database.columns import Table, UTCDateTime, now
from storage.errors import AlreadyTaken, NotFound
from storage.people.audit_log import record


class ProviderKey(Table, table=True):
    """One key of one provider. `origin` is the upstream it may be sent to (`https://host:port`), and is part of what
    the `envelope` is bound to; `master` names the master key that seals it; `fingerprint` tells keys apart."""

    __tablename__ = "provider_key"
    __table_args__ = (UniqueConstraint("provider", "origin", "fingerprint"),)

    id: UUID = Field(primary_key=True)
    provider: str
    origin: str
    envelope: str
    master: str
    fingerprint: str
    created_at: datetime = Field(sa_type=UTCDateTime)
    replaced_at: datetime | None = Field(sa_type=UTCDateTime)


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is stored: what the vault made of it."""

    origin: str
    envelope: str
    master: str
    fingerprint: str


class SealedKey(Sealed, frozen=True, kw_only=True):
    """A stored key, still sealed."""

    id: UUID
    provider: str
    created_at: datetime
    replaced_at: datetime | None


_COLUMNS = tuple(col(getattr(ProviderKey, name)) for name in SealedKey.__struct_fields__)
_ALL = select(*_COLUMNS).order_by(col(ProviderKey.id))
_REWRAP = (
    update(ProviderKey)
    .where(col(ProviderKey.id) == bindparam("key_id"), col(ProviderKey.envelope) == bindparam("was"))
    .values(envelope=bindparam("becomes"), master=bindparam("by"), fingerprint=bindparam("known_as"))
)
_NOT_FOUND = "There is no such provider key. `gateway keys list` shows those there are."


def add_provider_key(connection: Connection, key_id: UUID, provider: str, sealed: Sealed) -> None:
    """Store one more key of a provider, or `AlreadyTaken`; its id was chosen before: the envelope is bound to it."""
    try:
        connection.execute(
            insert(ProviderKey).values(
                id=key_id, provider=provider, created_at=now(), replaced_at=None, **msgspec.structs.asdict(sealed)
            )
        )
    except IntegrityError:
        raise _stored_already(provider) from None
    _record(connection, "added", key_id, provider, sealed)


def list_provider_keys(connection: Connection) -> list[SealedKey]:
    """All stored keys, oldest first."""
    return [SealedKey(**row._mapping) for row in connection.execute(_ALL)]


def load_provider_key(connection: Connection, key_id: UUID) -> SealedKey:
    """One stored key, or `NotFound`."""
    row = connection.execute(_ALL.where(col(ProviderKey.id) == key_id)).first()
    if row is None:
        raise NotFound(_NOT_FOUND)
    return SealedKey(**row._mapping)


def replace_provider_key(connection: Connection, key_id: UUID, sealed: Sealed) -> None:
    """Put another key in the place of one; `NotFound` when it is gone, `AlreadyTaken` when the other is stored too."""
    try:
        provider = connection.execute(
            update(ProviderKey)
            .where(col(ProviderKey.id) == key_id)
            .values(replaced_at=now(), **msgspec.structs.asdict(sealed))
            .returning(col(ProviderKey.provider))
        ).scalar()
    except IntegrityError:
        raise _stored_already("the provider") from None
    if provider is None:
        raise NotFound(_NOT_FOUND)
    _record(connection, "replaced", key_id, provider, sealed)


def rewrap_provider_keys(connection: Connection, rewrapped: Sequence[tuple[SealedKey, Sealed]]) -> int:
    """Store the same keys sealed under another master key, each as it was and as it becomes; gives how many.

    Those that somebody replaced or removed in between are left alone.
    """
    done = 0
    for was, becomes in rewrapped:
        values = {
            "key_id": was.id,
            "was": was.envelope,
            "becomes": becomes.envelope,
            "by": becomes.master,
            "known_as": becomes.fingerprint,
        }
        if connection.execute(_REWRAP, values).rowcount == 1:
            _record(connection, "rewrapped", was.id, was.provider, becomes)
            done += 1
    return done


def remove_provider_key(connection: Connection, key_id: UUID) -> None:
    """Delete a stored key, or `NotFound`."""
    removed = connection.execute(
        delete(ProviderKey).where(col(ProviderKey.id) == key_id).returning(col(ProviderKey.provider))
    ).scalar()
    if removed is None:
        raise NotFound(_NOT_FOUND)
    record(connection, None, "provider_key.removed", str(key_id), provider=removed)


def _stored_already(provider: str) -> AlreadyTaken:
    return AlreadyTaken("key", f"This key of {provider} is stored already. `gateway keys list` shows it.")


def _record(connection: Connection, done: str, key_id: UUID, provider: str, sealed: Sealed) -> None:
    facts = {"provider": provider, "origin": sealed.origin, "fingerprint": sealed.fingerprint, "master": sealed.master}
    record(connection, None, f"provider_key.{done}", str(key_id), **facts)
