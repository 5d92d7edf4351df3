"""From an address to a database whose schema is current."""

import asyncio
import inspect
from importlib.resources import files

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from storage.database import postgresql, sqlite
from storage.database.interface import Database
from storage.errors import StorageUnavailable

MIGRATION_LOCK = 7_205_759_403
"""The advisory lock under which PostgreSQL nodes that start together migrate one after another."""


def parse_address(address: str) -> URL:
    """The address as an URL. Raises ValueError with a sentence that quotes no password."""
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise ValueError("The database address is not an URL like sqlite:///gateway.db.") from None
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise ValueError(
            f"The database address begins with {url.drivername!r}; use sqlite:///PATH or postgresql://HOST/NAME."
        )
    for option in url.query:
        if option not in _options(url):
            raise ValueError(
                f"The database address has an unknown option, {option!r}. Remove it; TLS to PostgreSQL is ?ssl=require."
            )
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise ValueError("SQLite needs a file: sqlite:///PATH. A database in memory would not survive the process.")
    return url


def _options(url: URL) -> set[str]:
    """What may follow the `?` of an address: the driver's options, and SQLAlchemy's for poolers in between."""
    if url.get_backend_name() == "sqlite":
        return set()
    import asyncpg  # type: ignore[import-untyped]  # only here, since SQLite does without

    return {*inspect.signature(asyncpg.connect).parameters, "prepared_statement_cache_size"}


async def open_database(address: str) -> Database:
    """Open the database at the address; `upgrade_schema` comes first, once per start."""
    url = parse_address(address)
    if url.get_backend_name() == "sqlite":
        return sqlite.SQLiteDatabase(str(url.database))
    return postgresql.PostgreSQLDatabase(url)


async def upgrade_schema(address: str) -> None:
    """Bring the schema to the newest version. Raises `StorageUnavailable` when the database cannot be reached."""
    url = parse_address(address)
    try:
        if url.get_backend_name() == "sqlite":
            await asyncio.to_thread(_upgrade_sqlite, str(url.database))
        else:
            await _upgrade_postgresql(url)
    except (DBAPIError, OSError) as error:
        raise StorageUnavailable(
            f"The database at {url.render_as_string(hide_password=True)} cannot be opened or upgraded."
        ) from error


def migrate(connection: Connection, revision: str = "head") -> None:
    """Run the migrations on an open connection, inside its transaction."""
    config = Config()
    config.set_main_option("script_location", str(files("storage").joinpath("migrations")))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _upgrade_sqlite(path: str) -> None:
    engine = sqlite.make_engine(path)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        migrate(connection)
        connection.exec_driver_sql("COMMIT")
    engine.dispose()


async def _upgrade_postgresql(url: URL) -> None:
    engine = postgresql.make_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()
