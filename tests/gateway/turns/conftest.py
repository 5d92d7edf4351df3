"""A gateway whose models have little time, shared by the tests of one file."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from builders import Gateway, serve_gateway, write_personas

from gateway.settings import Settings
from providers.scripted.server import ScriptedUpstream
from providers.upstream.clocks import Clocks
from providers.upstream.keys import ProviderKey, Secret

KEY = "sk-only-for-tests-0123456789"

SHORT = Clocks(connect=2, first_token=0.35, idle=0.5, total=10)
"""Clocks that a test can wait for."""


@pytest.fixture(scope="module")
def hasty_upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def hasty_address(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> str:
    return new_database(request.param)


@pytest.fixture(scope="module")
async def hasty(
    hasty_address: str, tmp_path_factory: pytest.TempPathFactory, hasty_upstream: ScriptedUpstream
) -> AsyncIterator[Gateway]:
    """A gateway with short clocks and no waits between retries."""

    async def at_once(seconds: float) -> None:
        pass

    folder: Path = tmp_path_factory.mktemp("hasty")
    settings = Settings(
        data_dir=folder,
        database_url=hasty_address,
        personas=write_personas(folder, hasty_upstream.base_url, hasty_upstream.url),
        turns_per_minute=100_000,
        writes_per_minute=100_000,
        concurrent_turns=50,
        open_streams=200,
        drain_seconds=1,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("providers.upstream.retries.sleep", at_once)
        patch.setenv("TEST_CLAUDE_KEY", KEY)
        async with serve_gateway(settings, clocks=SHORT) as served:
            served.services.providers.set_keys({"claude": [ProviderKey(Secret(KEY))]})
            yield served
