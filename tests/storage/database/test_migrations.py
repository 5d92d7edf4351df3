"""An empty database that was upgraded is what the models say, on both databases, down to the predicates of indexes."""

import asyncio
import importlib
import pkgutil
import re
from collections.abc import Callable

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.schema import CreateIndex

import storage
from storage.database import Database, open_database, upgrade_schema
from storage.database.columns import Table

pytestmark = pytest.mark.anyio

for module in pkgutil.walk_packages(storage.__path__, "storage."):
    if "migrations" not in module.name:
        importlib.import_module(module.name)


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, Table.metadata))


def index_texts(connection: Connection) -> dict[str, str]:
    """The predicate and columns of each index that the models name, as the database tells them."""
    if connection.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    else:
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
    return {row[0]: _plain(row[1]) for row in connection.execute(text(query))}


def _plain(sql: str) -> str:
    sql = re.sub(r'"|::text|public\.| USING btree|\((?=state|role|pinned)|(?<=\')\)', "", sql)
    return re.sub(r"[\s()]+", " ", sql).strip()


async def test_the_upgraded_schema_equals_the_models(database: Database) -> None:
    assert await database.write(differences) == []


async def test_the_indexes_have_the_models_texts(database: Database) -> None:
    found = await database.write(index_texts)

    def expected(connection: Connection) -> dict[str, str]:
        return {
            str(index.name): _plain(str(CreateIndex(index).compile(dialect=connection.dialect)))
            for table in Table.metadata.tables.values()
            for index in table.indexes
        }

    for name, sql in (await database.write(expected)).items():
        assert found[name] == sql
    partial = [sql for sql in found.values() if " WHERE " in sql]
    assert len(partial) == 4


async def test_upgrading_again_changes_nothing(database_address: str, database: Database) -> None:
    before = await database.write(index_texts)
    await upgrade_schema(database_address)
    assert await database.write(index_texts) == before
    assert await database.write(lambda connection: connection.execute(text("SELECT count(*) FROM setup")).scalar()) == 1


async def test_nodes_that_start_together_upgrade_one_after_another(new_database: Callable[[str], str]) -> None:
    address = new_database("postgresql")
    database = await open_database(address)

    def empty(connection: Connection) -> None:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))

    await database.write(empty)
    await asyncio.gather(*[upgrade_schema(address) for _ in range(4)])
    tables = await database.write(lambda connection: set(inspect(connection).get_table_names()))
    assert {"turn", "message", "alembic_version"} <= tables
    await database.close()
