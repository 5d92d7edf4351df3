import asyncio
from typing import Any

import pytest
from instant_loop import InstantLoop

from providers.upstream.clocks import Clocks, Watch

pytestmark = pytest.mark.anyio

CLOCKS = Clocks(first_token=10, idle=6, total=30)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": InstantLoop}


class Watched:
    """A watch, and when it called (seconds after the start)."""

    def __init__(self, clocks: Clocks = CLOCKS) -> None:
        self.loop = asyncio.get_running_loop()
        self.start = self.loop.time()
        self.calls: list[float] = []
        self.watch = Watch(clocks, self.start, self.start, self._expired)

    def _expired(self) -> None:
        self.calls.append(round(self.loop.time() - self.start, 6))

    async def until(self, seconds: float) -> None:
        await asyncio.sleep(self.start + seconds - self.loop.time())

    def sentence(self) -> str:
        return self.watch.error.message if self.watch.error else ""


async def test_the_first_token_clock_runs_until_content() -> None:
    watched = Watched()
    await watched.until(20)
    assert watched.calls == [10]
    assert "first token clock (10 s)" in watched.sentence()


async def test_the_idle_clock_counts_from_the_last_event() -> None:
    watched = Watched()
    watched.watch.begin_idle()
    for moment in (4, 8, 12):
        await watched.until(moment)
        watched.watch.feed()
    await watched.until(25)
    assert watched.calls == [18]
    assert "idle clock (6 s)" in watched.sentence()


async def test_the_idle_clock_is_shorter_than_what_is_left_of_the_first_token_clock() -> None:
    watched = Watched(Clocks(first_token=500, idle=5))
    watched.watch.begin_idle()
    await watched.until(12)
    assert watched.calls == [5]


async def test_a_pause_stops_the_idle_clock_and_not_the_total() -> None:
    watched = Watched()
    watched.watch.begin_idle()
    watched.watch.pause()
    await watched.until(20)
    assert watched.calls == []
    await watched.until(40)
    assert watched.calls == [30]
    assert "total clock (30 s)" in watched.sentence()


async def test_events_do_not_push_on_the_total() -> None:
    watched = Watched()
    watched.watch.begin_idle()
    for step in range(1, 12):
        await watched.until(step * 3)
        watched.watch.feed()
    assert watched.calls == [30]


async def test_the_total_counts_from_the_call_and_not_from_the_attempt() -> None:
    loop = asyncio.get_running_loop()
    calls: list[float] = []
    watch = Watch(CLOCKS, loop.time() - 25, loop.time(), lambda: calls.append(1))
    await asyncio.sleep(8)
    assert calls == [1]
    assert watch.error is not None
    assert "total" in watch.error.message


async def test_a_provider_that_is_done_has_little_time_to_hang_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.upstream.clocks.LINGER", 3)
    watched = Watched(Clocks())
    watched.watch.begin_idle()
    watched.watch.begin_linger()
    await watched.until(10)
    assert watched.calls == [3]


async def test_a_stopped_watch_says_nothing_more() -> None:
    watched = Watched()
    watched.watch.stop()
    await watched.until(40)
    assert watched.calls == []
    assert watched.watch.error is None
