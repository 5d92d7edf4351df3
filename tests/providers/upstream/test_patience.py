"""How long an answer is waited for, and when the provider hangs up on its upstream."""

import asyncio

import pytest
from provider_streams import REQUEST, Build, collected, text_of
from waiting import until

from providers.errors import UpstreamTimeout
from providers.events import Failed, Finished, FinishReason
from providers.scripted.faults import FAULTS
from providers.scripted.script import FOREVER, Script
from providers.scripted.server import ScriptedUpstream
from providers.upstream.clocks import Clocks
from providers.wires.wire import MAX_LINE

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("fault", ["silent-before-headers", "comments-only"])
async def test_without_content_the_first_token_clock_runs_out(
    build: Build, scripted_upstream: ScriptedUpstream, waits: list[float], fault: str
) -> None:
    scripted_upstream.enqueue(*[FAULTS[fault]] * 3)
    begun = asyncio.get_running_loop().time()
    with pytest.raises(UpstreamTimeout, match="first token clock"):
        await collected(build(clocks=Clocks(first_token=0.5)))
    assert asyncio.get_running_loop().time() - begun >= 3 * 0.5
    assert len(scripted_upstream.requests) == 3


async def test_silence_after_content_is_a_failure_of_the_idle_clock(
    build: Build, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.enqueue(FAULTS["silent-mid-stream"])
    events = await collected(build(clocks=Clocks(idle=0.25)))
    assert text_of(events)
    assert isinstance(events[-1], Failed)
    assert "idle clock (0.25 s)" in events[-1].error.message
    await until(lambda: scripted_upstream.requests[0].abandoned)


async def test_keep_alive_comments_are_no_life(build: Build, scripted_upstream: ScriptedUpstream) -> None:
    comments = ": still here\n\n" * 40
    scripted_upstream.enqueue(Script(reply="Hm", insert=comments, split=14, split_gap=0.02, finish=None, done=False))
    events = await collected(build(clocks=Clocks(idle=0.15)))
    assert text_of(events) == "Hm"
    assert isinstance(events[-1], Failed)
    assert "idle clock" in events[-1].error.message


async def test_the_total_ends_an_answer_that_drips(build: Build, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(Script(reply="drip " * 1000, gap=0.02))
    events = await collected(build(clocks=Clocks(total=1)))
    assert 0 < len(text_of(events)) < len("drip " * 1000)
    assert isinstance(events[-1], Failed)
    assert "total clock (1 s)" in events[-1].error.message


async def test_the_total_counts_over_all_attempts(
    build: Build, scripted_upstream: ScriptedUpstream, waits: list[float]
) -> None:
    scripted_upstream.enqueue(*[Script(first_after=FOREVER)] * 3)
    with pytest.raises(UpstreamTimeout, match="total clock"):
        await collected(build(clocks=Clocks(first_token=0.6, total=1.2)))
    assert len(scripted_upstream.requests) == 2


async def test_a_slow_reader_does_not_make_the_upstream_idle(build: Build, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(Script(reply="1 2 3 4 5 6 7 8", gap=0.15))
    batches = build(clocks=Clocks(idle=0.6)).stream(REQUEST)
    events = await anext(batches)
    await asyncio.sleep(0.8)  # longer than the idle clock, and the upstream is not done yet
    events += [event async for batch in batches for event in batch]
    assert text_of(events) == "1 2 3 4 5 6 7 8"
    assert Finished(FinishReason.stop) in events


async def test_a_provider_that_is_done_but_does_not_hang_up_is_not_waited_for(
    build: Build, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.upstream.clocks.LINGER", 0.1)
    scripted_upstream.enqueue(Script(reply="Done.", ending="stall"))
    begun = asyncio.get_running_loop().time()
    events = await collected(build())
    assert asyncio.get_running_loop().time() - begun < Clocks().idle
    assert text_of(events) == "Done."
    assert Finished(FinishReason.stop) in events
    assert not isinstance(events[-1], Failed)


async def test_closing_the_stream_hangs_up_at_once(build: Build, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(Script(reply="more " * 1000, gap=0.02))
    batches = build().stream(REQUEST)
    await anext(batches)
    await batches.aclose()
    await until(lambda: scripted_upstream.requests[0].abandoned)


@pytest.mark.parametrize("fault", ["silent-before-headers", "comments-only"])
async def test_cancelling_before_the_first_content_hangs_up_at_once(
    build: Build, scripted_upstream: ScriptedUpstream, fault: str
) -> None:
    scripted_upstream.enqueue(FAULTS[fault])
    asking = asyncio.create_task(collected(build()))
    await until(lambda: scripted_upstream.requests)
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()
    await until(lambda: scripted_upstream.requests[0].abandoned)


async def test_a_line_over_the_cap_is_not_waited_for(build: Build, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(Script(reply="Hi", insert="data: " + "x" * 2 * MAX_LINE, ending="stall"))
    events = await collected(build())
    assert isinstance(events[-1], Failed)
    await until(lambda: scripted_upstream.requests[0].abandoned)
