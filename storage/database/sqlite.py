"""SQLite: one writer thread that commits many units together, and a few threads that read.

Why a thread of our own: asynchronous drivers hop threads at every statement, and concurrent writers wait in SQLite's
unfair busy loop. Here a unit costs one hop, units that arrive together share one sync to the disk, each under its own
SAVEPOINT, and each is acknowledged after the commit.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from storage.database.interface import Database, P, T
from storage.errors import StorageUnavailable

PRAGMAS = {
    "busy_timeout": 5000,  # the command line writes to the same file, for moments
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: NORMAL may lose acknowledged turns when the power goes
    "foreign_keys": 1,
    "secure_delete": 1,  # what a person deletes is overwritten
}
"""Set on every connection and asserted by the tests."""

READERS = 4
LARGEST_BATCH = 64

FAILURES = (OperationalError, sqlite3.OperationalError)
"""The file is locked, the disk is full or broken: not the unit's fault."""

Unit = tuple[Callable[[Connection], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


def make_engine(path: str) -> Engine:
    """An engine whose connections have our PRAGMAs and leave transactions to us."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: object) -> None:
        for name, value in PRAGMAS.items():
            connection.execute(f"PRAGMA {name}={value}")

    return engine


class SQLiteDatabase(Database):
    """A SQLite file, written by one thread."""

    def __init__(self, path: str) -> None:
        self._engine = make_engine(path)
        self._units: queue.SimpleQueue[Unit | None] = queue.SimpleQueue()
        self._closed = False
        self._local = threading.local()
        self._reading: list[Connection] = []
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        self._writer = threading.Thread(target=self._write_units, name="sqlite-writer")
        self._writer.start()

    async def write(self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Queue a unit for the writer thread; returns after the commit that holds it."""
        if self._closed:
            raise StorageUnavailable("The database is closed; the gateway is stopping.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._units.put((lambda connection: unit(connection, *args, **kwargs), loop, future))
        return await future

    async def read(self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a unit on a read-only connection."""
        if self._closed:
            raise StorageUnavailable("The database is closed; the gateway is stopping.")
        return await asyncio.get_running_loop().run_in_executor(
            self._readers, self._read, lambda connection: unit(connection, *args, **kwargs)
        )

    async def close(self) -> None:
        """Finish what is queued and close every connection."""
        if self._closed:
            return
        self._closed = True
        self._units.put(None)
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._readers.shutdown)
        for connection in self._reading:
            connection.close()
        self._engine.dispose()

    def _read(self, unit: Callable[[Connection], T]) -> T:
        try:
            connection = self._reader()
            raw = _raw(connection)
            raw.execute("BEGIN")
            try:
                return unit(connection)
            finally:
                raw.execute("ROLLBACK")
        except FAILURES as error:
            raise StorageUnavailable("The database does not answer. Try again in a moment.") from error

    def _reader(self) -> Connection:
        """The connection of this reading thread."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._engine.connect()
            _raw(connection).execute("PRAGMA query_only=1")
            self._reading.append(connection)
        return connection

    def _write_units(self) -> None:
        connection: Connection | None = None
        running = True
        while running:
            batch: list[Unit] = []
            unit = self._units.get()
            while unit is not None:
                batch.append(unit)
                if len(batch) == LARGEST_BATCH:
                    break
                try:
                    unit = self._units.get_nowait()
                except queue.Empty:
                    break
            else:
                running = False
            if not batch:
                continue
            try:
                connection = connection or self._engine.connect()
                outcomes = _commit_together(connection, batch)
            except (DBAPIError, sqlite3.Error) as error:  # it cannot be opened; or not rolled back, and starts anew
                if connection is not None:
                    connection.close()
                connection, outcomes = None, [(None, _unavailable(error))] * len(batch)
            _acknowledge(batch, outcomes)
        if connection is not None:
            connection.close()


def _raw(connection: Connection) -> sqlite3.Connection:
    return cast(sqlite3.Connection, connection.connection.dbapi_connection)


def _commit_together(connection: Connection, batch: Sequence[Unit]) -> list[tuple[Any, BaseException | None]]:
    """Run the units in one transaction, each under its own savepoint; give (result, error) for each."""
    raw = _raw(connection)
    outcomes: list[tuple[Any, BaseException | None]] = []
    try:
        raw.execute("BEGIN IMMEDIATE")
        for unit, _, _ in batch:
            raw.execute("SAVEPOINT unit")
            try:
                outcomes.append((unit(connection), None))
            except Exception as error:
                raw.execute("ROLLBACK TO unit")
                outcomes.append((None, _unavailable(error) if isinstance(error, FAILURES) else error))
            raw.execute("RELEASE unit")
        raw.execute("COMMIT")
    except sqlite3.Error as error:
        if raw.in_transaction:
            raw.execute("ROLLBACK")
        return [(None, _unavailable(error))] * len(batch)
    return outcomes


def _unavailable(error: Exception) -> StorageUnavailable:
    unavailable = StorageUnavailable("The database could not commit. Nothing was changed; try again in a moment.")
    unavailable.__cause__ = error
    return unavailable


def _acknowledge(batch: Sequence[Unit], outcomes: Sequence[tuple[Any, BaseException | None]]) -> None:
    """Wake who waits: one call into each event loop, however many units it queued."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any, BaseException | None]]] = {}
    for (_, loop, future), (result, error) in zip(batch, outcomes, strict=True):
        by_loop.setdefault(loop, []).append((future, result, error))
    for loop, settled in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, settled)


def _settle(settled: Sequence[tuple["asyncio.Future[Any]", Any, BaseException | None]]) -> None:
    for future, result, error in settled:
        if future.done():  # who waited was cancelled; the unit is committed all the same
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
