"""Who did what that others may have to answer for: roles, keys, tokens, passwords."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Column, Connection, insert
from sqlmodel import Field

from storage.database.columns import Table, UTCDateTime, new_id, now


class AuditEntry(Table, table=True):
    """One privileged act. `actor_id` is None for the operator's command line; the person may be gone since."""

    __tablename__ = "audit_log"

    id: UUID = Field(primary_key=True)
    actor_id: UUID | None
    action: str
    target: str
    detail: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    at: datetime = Field(sa_type=UTCDateTime, index=True)


def record(connection: Connection, actor_id: UUID | None, action: str, target: str, **detail: Any) -> None:
    """Add an entry; `action` is `resource.verb_in_the_past`, and `detail` never holds a secret."""
    connection.execute(
        insert(AuditEntry).values(id=new_id(), actor_id=actor_id, action=action, target=target, detail=detail, at=now())
    )
