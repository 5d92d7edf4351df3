"""The composition root: from settings to everything that handlers are given, started and closed in order."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from gateway.accounts.accounts import Accounts
from gateway.accounts.first_admin import Bind
from gateway.catalog import CurrentCatalog
from gateway.identity.authentication import Authenticator
from gateway.keys.provider_keys import KeysInUse
from gateway.operations.metrics import Metrics
from gateway.operations.upkeep import upkeep
from gateway.readers import Readers
from gateway.settings import FolderRefused, Settings, make_private
from gateway.turns.running import RunningTurns
from personas.reload import LiveCatalog
from providers.registry import Registry
from providers.tokens import encoding
from storage.database import Database, open_database, parse_address, upgrade_schema


class AlreadyServed(Exception):
    """Another process serves the same SQLite file."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """All that handlers are given."""

    settings: Settings
    bind: Bind
    database: Database
    catalog: CurrentCatalog
    providers: Registry
    turns: RunningTurns
    readers: Readers
    accounts: Accounts
    metrics: Metrics


@asynccontextmanager
async def open_services(
    settings: Settings, bind: Bind, live: LiveCatalog, providers: Registry
) -> AsyncIterator[Services]:
    """Open everything, in the order of need, and close it in reverse.

    `live` and `providers` come ready-made, because a bad personas file stops the start before anything is opened.
    Raises `StorageUnavailable`, `FolderRefused`, `AlreadyServed` when another process serves the same SQLite file,
    and `MasterKeyRefused` when stored provider keys do not open with the master key at hand.
    """
    async with AsyncExitStack() as stack:
        url = parse_address(settings.database_address)
        is_alone = url.get_backend_name() == "sqlite"
        if is_alone:
            make_private(Path(str(url.database)).parent)
            stack.enter_context(_sole_server(Path(f"{url.database}.lock")))
        await upgrade_schema(settings.database_address)
        database = await open_database(settings.database_address)
        stack.push_async_callback(database.close)
        await asyncio.to_thread(encoding)
        await providers.start()
        stack.push_async_callback(providers.aclose)
        catalog = CurrentCatalog(live, providers, database)
        await catalog.take_into_use()
        keys = KeysInUse(settings, database, providers, lambda: catalog.current.providers)
        await keys.start()
        metrics = Metrics()
        turns = RunningTurns(settings, database, lambda: catalog.current, providers, metrics.note_turn)
        await turns.start(alone=is_alone)
        stack.push_async_callback(turns.close)
        metrics.running.set_function(turns.count)
        metrics.personas_loaded.set_function(lambda: catalog.live.latest.ok)
        idle = timedelta(days=settings.login_idle_days)
        readers = Readers(database, most=settings.open_streams, idle=idle)
        authenticator = Authenticator(database, readers, idle=idle)
        stack.push_async_callback(authenticator.close)
        accounts = Accounts(settings, database, bind, authenticator)
        stack.callback(accounts.close)
        await stack.enter_async_context(_background(catalog.watch()))
        await stack.enter_async_context(_background(keys.watch()))
        await stack.enter_async_context(_background(upkeep(database)))
        await stack.enter_async_context(_background(readers.watch(authenticator.forget)))
        yield Services(
            settings=settings,
            bind=bind,
            database=database,
            catalog=catalog,
            providers=providers,
            turns=turns,
            readers=readers,
            accounts=accounts,
            metrics=metrics,
        )


@contextmanager
def _sole_server(path: Path) -> Iterator[None]:
    """Hold the lock that keeps a second server from the same SQLite file; the kernel lets go when we die."""
    try:
        file = path.open("w")
    except OSError as error:
        raise FolderRefused(
            f"{path} cannot be opened ({error.strerror}). Make its folder one that the gateway may write to."
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyServed(
                f"Another gateway serves {path.with_suffix('')}. Stop it, or set GATEWAY_DATA_DIR to another folder."
            ) from None
        yield


@asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
