"""What `Database` promises of every unit, on both databases, when the database itself fails."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, text

from storage.conversations.conversations import ConversationMember
from storage.database import Database, open_database
from storage.database.columns import new_id, now
from storage.errors import NotFound, StorageUnavailable

pytestmark = pytest.mark.anyio

Opener = Callable[[str], Awaitable[Database]]


@pytest.fixture
async def opened() -> AsyncIterator[Opener]:
    """Opens databases, which are closed after the test."""
    databases: list[Database] = []

    async def opening(address: str) -> Database:
        databases.append(await open_database(address))
        return databases[-1]

    yield opening
    for database in databases:
        await database.close()


def note(connection: Connection, key: str, pause: float = 0) -> None:
    connection.execute(text("INSERT INTO allowance (key, full_at) VALUES (:key, 0)"), {"key": key})
    if pause and connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_sleep({pause})"))


def keys(connection: Connection) -> list[str]:
    return list(connection.execute(text("SELECT key FROM allowance ORDER BY key")).scalars())


async def test_what_reads_cannot_write(database: Database) -> None:
    with pytest.raises(Exception, match=r"read-?only|does not answer"):
        await database.read(note, "from a reader")
    assert await database.read(keys) == []


async def test_a_reading_unit_sees_one_moment(database: Database) -> None:
    """What is written between its two queries is not seen by the second."""
    loop = asyncio.get_running_loop()

    def twice(connection: Connection) -> tuple[list[str], list[str]]:
        first = keys(connection)
        if connection.dialect.name == "sqlite":
            asyncio.run_coroutine_threadsafe(database.write(note, "between"), loop).result(10)
        else:
            connection.execute(text("SELECT pg_sleep(0.3)"))
        return first, keys(connection)

    reading = asyncio.create_task(database.read(twice))
    await asyncio.sleep(0.1)
    if await database.read(keys) == []:
        await database.write(note, "between")
    assert await reading == ([], [])
    assert await database.read(keys) == ["between"]


async def test_closing_finishes_what_was_begun(database_address: str, opened: Opener) -> None:
    database = await opened(database_address)
    waiting = [asyncio.create_task(database.write(note, f"{number}", 0.1)) for number in range(5)]
    await asyncio.sleep(0.05)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await database.close()
    again = await opened(database_address)
    assert await again.read(keys) == ["0", "1", "2", "3", "4"]


async def test_a_full_disk_is_unavailable_and_harms_no_other_unit(
    new_database: Callable[[str], str], opened: Opener
) -> None:
    path = Path(new_database("sqlite").removeprefix("sqlite:///"))
    database = await opened(f"sqlite:///{path}")

    def fill(connection: Connection) -> None:
        note(connection, "half")
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        note(connection, "x" * 100_000)

    units = [database.write(note, "before"), database.write(fill), database.write(note, "small")]
    before, full, after = await asyncio.gather(*units, return_exceptions=True)
    assert isinstance(full, StorageUnavailable)
    kept = [key for key, outcome in (("before", before), ("small", after)) if outcome is None]
    assert await database.read(keys) == kept, "what was acknowledged is there, and nothing else"


async def test_a_file_that_cannot_be_opened_is_unavailable_until_it_can(
    tmp_path: Path, migrated_sqlite: Path, opened: Opener
) -> None:
    path = tmp_path / "later" / "gateway.db"
    database = await opened(f"sqlite:///{path}")
    with pytest.raises(StorageUnavailable):
        await asyncio.wait_for(database.write(note, "too early"), 5)
    with pytest.raises(StorageUnavailable):
        await asyncio.wait_for(database.read(keys), 5)
    path.parent.mkdir()
    path.write_bytes(migrated_sqlite.read_bytes())
    await database.write(note, "now")
    assert await database.read(keys) == ["now"]
    await database.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@pytest.mark.parametrize(
    "condition", ["deadlock_detected", "serialization_failure", "disk_full", "admin_shutdown", "too_many_connections"]
)
async def test_postgresql_s_own_troubles_are_unavailable(
    new_database: Callable[[str], str], opened: Opener, condition: str
) -> None:
    database = await opened(new_database("postgresql"))

    def troubled(connection: Connection) -> None:
        note(connection, "half")
        connection.execute(text(f"DO $$ BEGIN RAISE {condition}; END $$"))

    with pytest.raises(StorageUnavailable):
        await database.write(troubled)
    assert await database.read(keys) == []


async def test_a_lost_connection_is_unavailable_and_the_next_unit_has_another(
    new_database: Callable[[str], str], opened: Opener
) -> None:
    database = await opened(new_database("postgresql"))

    def lost(connection: Connection) -> None:
        note(connection, "half")
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(StorageUnavailable):
        await database.write(lost)
    await database.write(note, "whole")
    assert await database.read(keys) == ["whole"]


async def test_what_a_row_belongs_to_may_be_deleted_meanwhile(
    new_database: Callable[[str], str], opened: Opener
) -> None:
    database = await opened(new_database("postgresql"))

    def orphan(connection: Connection) -> None:
        note(connection, "half")
        values = {"conversation_id": new_id(), "user_id": new_id(), "role": "member", "joined_at": now()}
        connection.execute(insert(ConversationMember).values(values))

    with pytest.raises(NotFound):
        await database.write(orphan)
    assert await database.read(keys) == []


async def test_connections_that_the_server_closed_meanwhile_are_replaced_unseen(
    new_database: Callable[[str], str], opened: Opener
) -> None:
    """A restart of the server, while nobody asks it: no unit fails for it afterwards."""
    address = new_database("postgresql")
    database, operator = await opened(address), await opened(address)
    others = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid != pg_backend_pid()"
    )
    for number in range(3):
        await asyncio.gather(*[database.write(note, f"{number}{one}", 0.05) for one in range(5)])
        assert len(await operator.read(lambda connection: connection.execute(others).all())) >= 5
        await asyncio.sleep(0.2)  # the driver hears that its connections were closed
    assert len(await database.read(keys)) == 15


async def test_a_unit_s_own_mistake_is_not_the_database_s(database: Database) -> None:
    def mistaken(connection: Connection) -> None:
        note(connection, "once")
        note(connection, "once")

    with pytest.raises(Exception, match=r"(?i)unique") as caught:
        await database.write(mistaken)
    assert not isinstance(caught.value, StorageUnavailable)
    assert await database.read(keys) == []
