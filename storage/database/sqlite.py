"""SQLite: units that change rows run on the event loop, and only the commit, which waits for the disk, in a thread.

A unit is some dozen microseconds of interpreter. A thread for it would fight the event loop for the interpreter's lock,
at nearly twice the cost for both. Units that come while a commit is under way share the next transaction, each under
its own SAVEPOINT, and each is acknowledged after the commit.
"""

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, cast

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from storage.database.interface import Database, P, T
from storage.errors import StorageUnavailable

PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: NORMAL may lose acknowledged turns when the power goes
    "foreign_keys": 1,
    "secure_delete": 1,  # what a person deletes is overwritten
}
"""Set on every connection and asserted by the tests."""

READERS = 4
LARGEST_BATCH = 64

SLICE = 0.004
"""Seconds after which a transaction takes no more units, so that the event loop serves others meanwhile."""

LOCK_PATIENCE = 5.0
"""Seconds that a unit waits while the command line, say, writes to the same file."""

LOOK_AGAIN = 0.005
"""Seconds between two looks whether the file is free."""

FAILURES = (OperationalError, sqlite3.OperationalError)
"""The file is locked, the disk is full or broken: not the unit's fault."""


class Unit(msgspec.Struct):
    """A unit that waits, and who waits for it."""

    run: Callable[[Connection], Any]
    future: "asyncio.Future[Any]"
    is_long: bool
    deadline: float


Outcome = tuple[Any, BaseException | None]


def make_engine(path: str, patience: float = LOCK_PATIENCE) -> Engine:
    """An engine whose connections have our PRAGMAs, wait this long for a lock, and leave transactions to us."""
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"check_same_thread": False, "timeout": patience},
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: object) -> None:
        for name, value in PRAGMAS.items():
            connection.execute(f"PRAGMA {name}={value}")

    return engine


class SQLiteDatabase(Database):
    """A SQLite file, written by one connection. Belongs to the event loop that uses it first."""

    def __init__(self, path: str) -> None:
        self._engine = make_engine(path)
        self._writing_engine = make_engine(path, patience=0)  # the loop must not be kept waiting
        self._connection: Connection | None = None
        self._waiting: deque[Unit] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="sqlite-commit")
        self._closed = False
        self._local = threading.local()
        self._reading: list[Connection] = []
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")

    async def write(self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Queue a unit for the next transaction; returns after the commit."""
        return await self._queue(lambda connection: unit(connection, *args, **kwargs), is_long=False)

    async def write_long(self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Queue a unit that runs in a thread."""
        return await self._queue(lambda connection: unit(connection, *args, **kwargs), is_long=True)

    async def read(self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a unit on a read-only connection, in a thread."""
        self._require_open()
        return await asyncio.get_running_loop().run_in_executor(
            self._readers, self._read, lambda connection: unit(connection, *args, **kwargs)
        )

    async def close(self) -> None:
        """Finish what is queued and close every connection."""
        if self._closed:
            return
        self._closed = True
        if self._writing is not None:
            await self._writing
        self._committer.shutdown()
        await asyncio.to_thread(self._readers.shutdown)
        for connection in self._reading:
            connection.close()
        self._forget_connection()

    def _require_open(self) -> None:
        if self._closed:
            raise StorageUnavailable("The database is closed; the gateway is stopping.")

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

    async def _queue(self, run: Callable[[Connection], T], *, is_long: bool) -> T:
        self._require_open()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.append(Unit(run, future, is_long, loop.time() + LOCK_PATIENCE))
        if self._writing is None:
            self._writing = loop.create_task(self._write_units())
        return await future

    async def _write_units(self) -> None:
        """Run and commit what waits, transaction after transaction, until nothing does."""
        while self._waiting:
            batch: list[Unit] = []
            try:
                outcomes = await self._commit_together(batch)
            except Exception as failure:
                self._roll_back()
                outcomes = [(None, _unavailable(failure))] * len(batch)
            for unit, (result, error) in zip(batch, outcomes, strict=True):
                _settle(unit.future, result, error)
        self._writing = None

    async def _commit_together(self, batch: list[Unit]) -> list[Outcome]:
        """Run waiting units in one transaction and commit it. `batch` is filled with those that were taken."""
        loop = asyncio.get_running_loop()
        batch.append(self._waiting.popleft())
        if self._connection is None:
            self._connection = self._writing_engine.connect()
        raw = _raw(self._connection)
        await _begin(raw, batch[0].deadline)
        until = loop.time() + SLICE
        outcomes: list[Outcome] = []
        while True:
            unit = batch[-1]
            if unit.is_long:
                outcomes.append(await loop.run_in_executor(self._committer, _run, unit, self._connection, raw))
            else:
                outcomes.append(_run(unit, self._connection, raw))
            if not self._waiting or len(batch) == LARGEST_BATCH or loop.time() > until:
                break
            batch.append(self._waiting.popleft())
        await loop.run_in_executor(self._committer, raw.execute, "COMMIT")
        return outcomes

    def _roll_back(self) -> None:
        """Leave no transaction behind; a connection on which even that fails is given up."""
        try:
            if self._connection is not None and _raw(self._connection).in_transaction:
                _raw(self._connection).execute("ROLLBACK")
        except sqlite3.Error:
            self._forget_connection()

    def _forget_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


async def _begin(raw: sqlite3.Connection, deadline: float) -> None:
    """Begin to write, once nobody else does. Raises sqlite3.OperationalError when that takes until the deadline."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            raw.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or loop.time() > deadline:
                raise
        await asyncio.sleep(LOOK_AGAIN)


def _run(unit: Unit, connection: Connection, raw: sqlite3.Connection) -> Outcome:
    """Run one unit under a savepoint: what it raises undoes it alone."""
    raw.execute("SAVEPOINT unit")
    try:
        outcome: Outcome = unit.run(connection), None
    except Exception as error:
        raw.execute("ROLLBACK TO unit")
        outcome = None, _unavailable(error) if isinstance(error, FAILURES) else error
    raw.execute("RELEASE unit")
    return outcome


def _raw(connection: Connection) -> sqlite3.Connection:
    return cast(sqlite3.Connection, connection.connection.dbapi_connection)


def _unavailable(error: Exception) -> StorageUnavailable:
    unavailable = StorageUnavailable("The database could not commit. Nothing was changed; try again in a moment.")
    unavailable.__cause__ = error
    return unavailable


def _settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.done():  # who waited was cancelled; the unit is committed all the same
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
