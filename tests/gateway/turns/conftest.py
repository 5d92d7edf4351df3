"""Gateways that the tests of one file share: one whose models have all the time, and one whose models have little."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from builders import Gateway, serve_gateway, write_personas

from gateway.settings import Settings
from providers.scripted.server import ScriptedUpstream
from providers.upstream.clocks import Clocks
from providers.upstream.keys import ProviderKey, Secret

KEY = "sk-only-for-tests-0123456789"

SHORT = Clocks(first_token=1, idle=1, total=30)
"""Clocks that a test can wait for, and a slow machine does not let run out by itself."""


@pytest.fixture(scope="module")
def shared_upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@asynccontextmanager
async def _serving(folder: Path, database: str, upstream: ScriptedUpstream, clocks: Clocks) -> AsyncIterator[Gateway]:
    """A gateway without limits worth mentioning, and without waits between retries."""

    async def at_once(seconds: float) -> None:
        pass

    settings = Settings(
        data_dir=folder,
        database_url=database,
        personas=write_personas(folder, upstream.base_url, upstream.url),
        turns_per_minute=100_000,
        writes_per_minute=100_000,
        concurrent_turns=50,
        open_streams=200,
        drain_seconds=1,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("providers.upstream.retries.sleep", at_once)
        patch.setenv("TEST_CLAUDE_KEY", KEY)
        async with serve_gateway(settings, clocks=clocks) as served:
            served.services.providers.set_keys({"claude": [ProviderKey(Secret(KEY))]})
            yield served


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_address(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> str:
    return new_database(request.param)


@pytest.fixture(scope="module")
async def shared(
    shared_address: str, tmp_path_factory: pytest.TempPathFactory, shared_upstream: ScriptedUpstream
) -> AsyncIterator[Gateway]:
    """A gateway for many tests."""
    folder = tmp_path_factory.mktemp("shared")
    async with _serving(folder, shared_address, shared_upstream, Clocks()) as served:
        yield served


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def hasty_address(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> str:
    return new_database(request.param)


@pytest.fixture(scope="module")
async def hasty(
    hasty_address: str, tmp_path_factory: pytest.TempPathFactory, shared_upstream: ScriptedUpstream
) -> AsyncIterator[Gateway]:
    """A gateway with short clocks."""
    folder = tmp_path_factory.mktemp("hasty")
    async with _serving(folder, hasty_address, shared_upstream, SHORT) as served:
        yield served
