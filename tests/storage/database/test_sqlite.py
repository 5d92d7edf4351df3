"""The SQLite database: its PRAGMAs, its one writer, and what holds when something goes wrong."""

import asyncio
import re
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from storage.database import Database, open_database
from storage.database import sqlite as module
from storage.database.sqlite import PRAGMAS
from storage.errors import StorageUnavailable

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(new_database: Callable[[str], str]) -> Path:
    return Path(new_database("sqlite").removeprefix("sqlite:///"))


@pytest.fixture
async def sqlite(path: Path) -> AsyncIterator[Database]:
    database = await open_database(f"sqlite:///{path}")
    yield database
    await database.close()


def note(connection: Connection, key: str) -> None:
    connection.execute(text("INSERT INTO allowance (key, full_at) VALUES (:key, 0)"), {"key": key})


def keys(connection: Connection) -> list[str]:
    return list(connection.execute(text("SELECT key FROM allowance ORDER BY key")).scalars())


def pragmas(connection: Connection) -> dict[str, object]:
    return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in PRAGMAS}


async def test_every_connection_has_our_pragmas(sqlite: Database) -> None:
    assert await sqlite.write(pragmas) == PRAGMAS
    assert PRAGMAS["synchronous"] == 2
    for found in await asyncio.gather(*[sqlite.read(pragmas) for _ in range(16)]):
        assert found == PRAGMAS


async def test_a_reader_cannot_write(sqlite: Database) -> None:
    with pytest.raises(StorageUnavailable):
        await sqlite.read(note, "from a reader")
    assert await sqlite.read(keys) == []


async def test_a_unit_that_raises_leaves_nothing_and_harms_no_other(sqlite: Database) -> None:
    def failing(connection: Connection, key: str) -> None:
        note(connection, key)
        raise LookupError(key)

    units = [sqlite.write(failing if number % 3 == 0 else note, f"{number:02}") for number in range(30)]
    outcomes = await asyncio.gather(*units, return_exceptions=True)
    assert [isinstance(outcome, LookupError) for outcome in outcomes] == [number % 3 == 0 for number in range(30)]
    assert await sqlite.read(keys) == [f"{number:02}" for number in range(30) if number % 3]


async def test_who_waits_may_be_cancelled_the_unit_is_not(sqlite: Database) -> None:
    waiting = [asyncio.create_task(sqlite.write(note, f"{number:03}")) for number in range(200)]
    await asyncio.sleep(0)
    for task in waiting[::2]:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(2):  # a lock that was left behind would hold this up until the busy timeout
        await sqlite.write(note, "after")
    assert len(await sqlite.read(keys)) == 201


async def test_closing_finishes_what_is_queued(path: Path) -> None:
    database = await open_database(f"sqlite:///{path}")
    waiting = [asyncio.create_task(database.write(note, f"{number:03}")) for number in range(300)]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*waiting)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM allowance").fetchone() == (300,)
    connection.close()
    with pytest.raises(StorageUnavailable):
        await database.write(note, "too late")


async def test_a_locked_file_is_unavailable_and_nothing_changes(
    sqlite: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_PATIENCE", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailable):
        await sqlite.write(note, "refused")
    other.execute("ROLLBACK")
    other.close()
    await sqlite.write(note, "accepted")
    assert await sqlite.read(keys) == ["accepted"]


async def test_units_that_wait_for_a_lock_wait_together(
    sqlite: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one after another: ten of them are refused after the patience of one."""
    monkeypatch.setattr(module, "LOCK_PATIENCE", 0.5)
    await sqlite.write(note, "before")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = asyncio.get_running_loop().time()
    outcomes = await asyncio.gather(*[sqlite.write(note, f"{number}") for number in range(10)], return_exceptions=True)
    assert asyncio.get_running_loop().time() - began < 3
    assert {type(outcome) for outcome in outcomes} == {StorageUnavailable}
    other.execute("ROLLBACK")
    other.close()
    assert await sqlite.read(keys) == ["before"]


async def test_a_reader_sees_what_was_acknowledged(sqlite: Database) -> None:
    for number in range(50):
        await sqlite.write(note, f"{number:02}")
        assert len(await sqlite.read(keys)) == number + 1


def test_the_disk_is_synced_before_the_acknowledgement(path: Path, tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    script = textwrap.dedent(
        f"""
        import asyncio, os
        from sqlalchemy import text
        from storage.database import open_database

        def note(connection, number):
            connection.execute(text("INSERT INTO allowance (key, full_at) VALUES (:key, 0)"), {{"key": str(number)}})

        async def main():
            database = await open_database("sqlite:///{path}")
            for number in range(3):
                os.write(1, b"asked")
                await database.write(note, number)
                os.write(1, b"acknowledged")
            await database.close()

        asyncio.run(main())
        """
    )
    trace = tmp_path / "trace"
    traced = ["strace", "-f", "-y", "-o", str(trace), "-e", "trace=fdatasync,fsync,write"]
    subprocess.run([*traced, sys.executable, "-c", script], check=True, capture_output=True, cwd=ROOT)
    syncing: set[str] = set()  # the threads that are in the middle of syncing the log
    synced, acknowledged = False, 0
    for line in trace.read_text().splitlines():
        thread = line.split()[0]
        if '"asked"' in line:
            synced = False
        elif begun := re.search(rf"f(?:data)?sync\(\d+<{re.escape(str(path))}-wal>(\) += 0)?", line):
            synced = synced or begun[1] is not None
            syncing.add(thread)
        elif re.search(r"sync resumed>\) += 0", line) and thread in syncing:
            synced = True
        elif '"acknowledged"' in line:
            assert synced, "a unit was acknowledged before its log was on the disk"
            acknowledged += 1
        if "resumed" in line:
            syncing.discard(thread)
    assert acknowledged == 3
