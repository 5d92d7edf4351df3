import asyncio

import pytest

from providers.upstream.clocks import Clocks, Watch

pytestmark = pytest.mark.anyio

QUICK = Clocks(first_token=0.1, idle=0.06, total=0.3)


class Watched:
    """A watch, and when it called (seconds after the start, rounded to hundredths)."""

    def __init__(self, clocks: Clocks = QUICK) -> None:
        self.loop = asyncio.get_running_loop()
        self.start = self.loop.time()
        self.calls: list[float] = []
        self.watch = Watch(clocks, self.start, self.start, self._expired)

    def _expired(self) -> None:
        self.calls.append(self.loop.time() - self.start)

    async def until(self, seconds: float) -> None:
        await asyncio.sleep(self.start + seconds - self.loop.time())

    def sentence(self) -> str:
        return self.watch.error.message if self.watch.error else ""


async def test_the_first_token_clock_runs_until_content() -> None:
    watched = Watched()
    await watched.until(0.2)
    assert watched.calls == [pytest.approx(0.1, abs=0.04)]
    assert "first token clock (0.1 s)" in watched.sentence()


async def test_the_idle_clock_counts_from_the_last_event() -> None:
    watched = Watched()
    watched.watch.begin_idle()
    for moment in (0.04, 0.08, 0.12):
        await watched.until(moment)
        watched.watch.feed()
    await watched.until(0.25)
    assert watched.calls == [pytest.approx(0.18, abs=0.04)]
    assert "idle clock (0.06 s)" in watched.sentence()


async def test_the_idle_clock_is_shorter_than_what_is_left_of_the_first_token_clock() -> None:
    watched = Watched(Clocks(first_token=5, idle=0.05))
    watched.watch.begin_idle()
    await watched.until(0.12)
    assert watched.calls == [pytest.approx(0.05, abs=0.04)]


async def test_a_pause_stops_the_idle_clock_and_not_the_total() -> None:
    watched = Watched()
    watched.watch.begin_idle()
    watched.watch.pause()
    await watched.until(0.2)
    assert watched.calls == []
    await watched.until(0.4)
    assert watched.calls == [pytest.approx(0.3, abs=0.04)]
    assert "total clock (0.3 s)" in watched.sentence()


async def test_events_do_not_push_on_the_total() -> None:
    watched = Watched()
    watched.watch.begin_idle()
    for step in range(1, 12):
        await watched.until(step * 0.03)
        watched.watch.feed()
    assert watched.calls == [pytest.approx(0.3, abs=0.04)]


async def test_the_total_counts_from_the_call_and_not_from_the_attempt() -> None:
    loop = asyncio.get_running_loop()
    calls: list[float] = []
    watch = Watch(QUICK, loop.time() - 0.25, loop.time(), lambda: calls.append(1))
    await asyncio.sleep(0.08)
    assert calls == [1]
    assert watch.error is not None
    assert "total" in watch.error.message


async def test_a_provider_that_is_done_has_little_time_to_hang_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.upstream.clocks.LINGER", 0.03)
    watched = Watched(Clocks())
    watched.watch.begin_idle()
    watched.watch.begin_linger()
    await watched.until(0.1)
    assert watched.calls == [pytest.approx(0.03, abs=0.03)]


async def test_a_stopped_watch_says_nothing_more() -> None:
    watched = Watched()
    watched.watch.stop()
    await watched.until(0.4)
    assert watched.calls == []
    assert watched.watch.error is None
