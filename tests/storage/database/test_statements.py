"""Statements that go to the driver as they are: the same rows, the same errors, as through SQLAlchemy."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from storage.database import Database
from storage.database.columns import new_id
from storage.database.statements import Statement
from storage.people.allowances import Allowance
from storage.people.audit_log import AuditEntry

pytestmark = pytest.mark.anyio

INSERT = Statement(insert(Allowance))
RAISE = Statement(
    update(Allowance)
    .where(col(Allowance.key) == bindparam("name"))
    .values(full_at=col(Allowance.full_at) + bindparam("by"))
)
ALL = Statement(select(col(Allowance.key), col(Allowance.full_at).label("until")).order_by(col(Allowance.key)))


class Row(msgspec.Struct, array_like=True):
    key: str
    until: int


async def test_what_is_written_is_read(database: Database) -> None:
    def unit(connection: Connection) -> tuple[Any, ...]:
        INSERT.run_each(connection, [{"key": name, "full_at": number} for number, name in enumerate("abc")])
        changed = RAISE.run(connection, {"name": "b", "by": 10}), RAISE.run(connection, {"name": "x", "by": 10})
        return changed, ALL.all(connection, {}), ALL.first(connection, {}).until, ALL.all_as(Row, connection, {})

    changed, rows, first, structs = await database.write(unit)
    assert changed == (1, 0)
    assert [(row.key, row.until) for row in rows] == [("a", 0), ("b", 11), ("c", 2)]
    assert first == 0
    assert structs == [Row("a", 0), Row("b", 11), Row("c", 2)]


async def test_values_keep_their_types(database: Database) -> None:
    """An id, an aware time and JSON come back as what they were, also where SQLAlchemy itself wrote or reads them."""
    row = {
        "id": new_id(),
        "actor_id": None,
        "action": "a",
        "target": "t",
        "detail": {"of": ["it", 1]},
        "at": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    }

    def unit(connection: Connection) -> list[Any]:
        Statement(insert(AuditEntry)).run(connection, row)
        connection.execute(insert(AuditEntry).values(**(row | {"id": new_id()})))
        entries = select(*[col(getattr(AuditEntry, name)) for name in row])
        return [*Statement(entries).all(connection, {}), *connection.execute(entries).all()]

    found = [entry._asdict() for entry in await database.write(unit)]
    assert len(found) == 4
    assert [entry | {"id": row["id"]} for entry in found] == [row] * 4


async def test_a_constraint_raises_what_sqlalchemy_raises_and_quotes_no_value(database: Database) -> None:
    def unit(connection: Connection) -> None:
        INSERT.run(connection, {"key": "a secret", "full_at": 1})
        INSERT.run(connection, {"key": "a secret", "full_at": 2})

    with pytest.raises(IntegrityError) as caught:
        await database.write(unit)
    assert "a secret" not in str(caught.value.statement)
    assert await database.read(lambda connection: ALL.all(connection, {})) == []


async def test_a_value_that_is_missing_is_an_error_and_no_null(database: Database) -> None:
    with pytest.raises(KeyError, match="by"):
        await database.write(lambda connection: RAISE.run(connection, {"name": "a"}))
