"""What each persona was when it spoke: resolved personas by digest, so that any turn can be explained later."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, LargeBinary, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, col

from storage.database.columns import Table, UTCDateTime, now


class PersonaRevision(Table, table=True):
    """One resolved persona, as canonical JSON; `digest` is its SHA-256 in hex."""

    __tablename__ = "persona_revision"

    digest: str = Field(primary_key=True)
    persona: str = Field(index=True)
    resolved: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    first_seen_at: datetime = Field(sa_type=UTCDateTime)


_KEEP = {
    name: dialect.insert(PersonaRevision).on_conflict_do_nothing(index_elements=["digest"])
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


def keep_revisions(connection: Connection, revisions: Mapping[str, tuple[str, bytes]]) -> None:
    """Store resolved personas, digest -> (persona id, canonical JSON); those that are known stay."""
    rows: list[dict[str, Any]] = [
        {"digest": digest, "persona": persona, "resolved": resolved, "first_seen_at": now()}
        for digest, (persona, resolved) in revisions.items()
    ]
    if rows:
        connection.execute(_KEEP[connection.dialect.name], rows)


def load_revision(connection: Connection, digest: str) -> bytes:
    """A resolved persona as canonical JSON; each turn's digest is that of one."""
    query = select(col(PersonaRevision.resolved)).where(col(PersonaRevision.digest) == digest)
    return bytes(connection.execute(query).scalar_one())
