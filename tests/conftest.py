"""What every test may rely on."""

import asyncio
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from builders import Gateway, serve_gateway, write_personas
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from gateway.settings import Settings
from providers.scripted.server import ScriptedUpstream
from storage.database import Database, open_database, upgrade_schema

_names = itertools.count()

# A slow machine is no failure of what is tested.
hypothesis_settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("patient")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on, or spends, what the machine has set."""
    for name in list(os.environ):
        if name.startswith(("GATEWAY_", "OPENAI_", "ANTHROPIC_")):
            monkeypatch.delenv(name)


def _postgresql_programs() -> Path | None:
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    if found:
        candidates.append(Path(found).parent)
    return next((folder for folder in candidates if (folder / "initdb").exists()), None)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A PostgreSQL server of our own, on a free port, without fsync; the address without a database."""
    programs = _postgresql_programs()
    if programs is None:
        pytest.skip("the PostgreSQL server programs (initdb, postgres) are not installed")
    folder = Path(tempfile.mkdtemp(prefix="gateway-postgresql-"))
    account: dict[str, str] = {}
    if os.geteuid() == 0:  # initdb refuses root
        account = {"user": "postgres"}
        shutil.chown(folder, "postgres")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    data = folder / "data"
    initialise = [programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres"]
    subprocess.run(initialise, check=True, capture_output=True, cwd=folder, **account)
    options = ["listen_addresses=127.0.0.1", "fsync=off", "max_connections=200"]
    command = [programs / "postgres", "-D", data, "-p", str(port), "-k", folder]
    command += [part for option in options for part in ("-c", option)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **account)
    try:
        ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        while subprocess.run(ready, check=False).returncode:
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        _sql(programs, port, "CREATE DATABASE migrated")
        address = f"postgresql://postgres@127.0.0.1:{port}"
        asyncio.run(upgrade_schema(f"{address}/migrated"))
        yield address
    finally:
        server.send_signal(signal.SIGINT)  # its fast shutdown
        server.wait(20)
        shutil.rmtree(folder)


def _sql(programs: Path, port: int | str, statement: str) -> None:
    psql = programs / "psql"
    command = [psql, "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-qc", statement, "postgres"]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    asyncio.run(upgrade_schema(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def new_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path
) -> Callable[[str], str]:
    """Makes an empty, migrated database of a kind; its address."""

    def make(kind: str) -> str:
        if kind == "sqlite":
            path = tmp_path_factory.mktemp("database") / "gateway.db"
            shutil.copy(migrated_sqlite, path)
            return f"sqlite:///{path}"
        server: str = request.getfixturevalue("postgresql_server")
        programs = _postgresql_programs()
        assert programs is not None
        name = f"test_{next(_names)}"
        _sql(programs, server.rpartition(":")[2], f"CREATE DATABASE {name} TEMPLATE migrated")
        return f"{server}/{name}"

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def database_address(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> str:
    """The address of an empty, migrated database: the test runs on SQLite and on PostgreSQL."""
    return new_database(request.param)


@pytest.fixture
async def database(database_address: str) -> AsyncIterator[Database]:
    """An empty, migrated database."""
    opened = await open_database(database_address)
    yield opened
    await opened.close()


@pytest.fixture
def settings(tmp_path: Path, database_address: str, scripted_upstream: ScriptedUpstream) -> Settings:
    """Settings of a gateway whose models are played by the scripted upstream."""
    return Settings(
        data_dir=tmp_path,
        database_url=database_address,
        personas=write_personas(tmp_path, scripted_upstream.base_url, scripted_upstream.url),
        turns_per_minute=10_000,
        open_streams=100,
        writes_per_minute=10_000,
        drain_seconds=2,
    )


@pytest.fixture
async def gateway(settings: Settings) -> AsyncIterator[Gateway]:
    """A gateway that serves real HTTP."""
    async with serve_gateway(settings) as served:
        yield served
