"""A provider over HTTP whose upstream is scripted."""

from collections.abc import AsyncIterator

import pytest
from provider_streams import KEY, Build

from providers.models import ProviderKind
from providers.scripted.server import ScriptedUpstream
from providers.upstream.clocks import Clocks
from providers.upstream.http import HTTPProvider
from providers.upstream.keys import KeyPool, ProviderKey, Secret, origin_of
from providers.upstream.transport import Transport
from providers.wires.anthropic import AnthropicWire
from providers.wires.openai import OpenAIWire


@pytest.fixture(params=["openai", "anthropic"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def build(scripted_upstream: ScriptedUpstream, family: str) -> AsyncIterator[Build]:
    """Builds a provider that asks the scripted upstream over the family's wire."""
    transport = Transport()
    await transport.start()

    def build(*keys: str, clocks: Clocks = Clocks(), url: str = scripted_upstream.url) -> HTTPProvider:  # noqa: B008
        pool = KeyPool("house", origin_of(url), key_env="HOUSE_API_KEY")
        pool.replace([ProviderKey(Secret(key)) for key in keys or (KEY,)])
        if family == "anthropic":
            return HTTPProvider("house", url, AnthropicWire(), transport, pool, clocks)
        return HTTPProvider("house", f"{url}/v1", OpenAIWire(ProviderKind.openai), transport, pool, clocks)

    yield build
    await transport.aclose()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that retries asked to wait; they do not wait at all."""
    asked: list[float] = []

    async def sleep(seconds: float) -> None:
        asked.append(seconds)

    monkeypatch.setattr("providers.upstream.retries.sleep", sleep)
    return asked
