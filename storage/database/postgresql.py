"""PostgreSQL: each unit is a transaction of its own on a pooled asyncpg connection."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, DisconnectionError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from storage.database.interface import Database, P, T
from storage.errors import NotFound, StorageUnavailable

UNAVAILABLE = ("08", "40", "53", "57", "58")
"""Classes of SQLSTATE that are not the unit's fault: no connection, rolled back for others' sake (a deadlock), out of
resources, stopped by the operator, the system under it."""

FOREIGN_KEY_VIOLATION = "23503"

POOL_SIZE = 10
POOL_TIMEOUT = 5.0
"""Seconds to wait for a free connection; longer means that the database is the bottleneck: answer 503."""


def make_engine(url: URL) -> AsyncEngine:
    """An engine on asyncpg, whatever driver the address names."""
    engine = create_async_engine(
        url.set(drivername="postgresql+asyncpg"),
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_timeout=POOL_TIMEOUT,
        hide_parameters=True,  # an error's text goes into the log, what people wrote does not
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def _require_alive(connection: Any, *_: object) -> None:
        # A server that restarts closes its connections, which the driver hears at once; SQLAlchemy's own ping would
        # ask the server three times before each unit.
        if connection.driver_connection.is_closed():
            raise DisconnectionError

    return engine


class PostgreSQLDatabase(Database):
    """A PostgreSQL database, shared by as many processes as need be."""

    def __init__(self, url: URL) -> None:
        self._engine = make_engine(url)
        self._snapshots = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._running: set[asyncio.Task[Any]] = set()

    async def write(self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a unit in a transaction that goes on when who awaits it is cancelled."""
        return await self._shielded(self._transaction(self._engine, unit, *args, **kwargs))

    async def write_long(self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `write`: the server does the work."""
        return await self.write(unit, *args, **kwargs)

    async def read(self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a unit that only reads."""
        return await self._shielded(self._transaction(self._snapshots, unit, *args, **kwargs))

    async def close(self) -> None:
        """Finish what is running and close every connection."""
        if self._running:
            await asyncio.wait(self._running)
        await self._engine.dispose()

    async def _shielded(self, transaction: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(transaction)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _transaction(
        self, engine: AsyncEngine, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(unit, *args, **kwargs)
        except IntegrityError as error:
            if getattr(error.orig, "sqlstate", "") == FOREIGN_KEY_VIOLATION:  # on SQLite nothing comes in between
                raise NotFound("What this belongs to was deleted meanwhile.") from error
            raise
        except (InterfaceError, OperationalError, PoolTimeout, OSError) as error:
            raise StorageUnavailable("The database does not answer. Try again in a moment.") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise StorageUnavailable("The connection to the database was lost. Try again in a moment.") from error
            if str(getattr(error.orig, "sqlstate", "")).startswith(UNAVAILABLE):
                raise StorageUnavailable("The database could not do this now. Try again in a moment.") from error
            raise
