"""The four clocks of a call to a model, and the one timer that watches them.

    connect      until the connection stands: name, TCP and TLS
    first token  from the request (its connection included) to the first content
    idle         between two events of the answer; a keep-alive comment is no event
    total        the whole call, retries included

A timer that is set anew for every read costs more than the read. So the deadline is a plain attribute that events
push on, and the timer looks at it when it fires: if there is time left, it sleeps for the rest.
"""

import asyncio
from collections.abc import Callable

import msgspec

from providers.errors import UpstreamTimeout

LINGER = 2.0
"""Seconds that an upstream has, once it said that it is done, for its usage and for ending the response."""


class Clocks(msgspec.Struct, frozen=True, kw_only=True):
    """How long each stage of a call may take, in seconds."""

    connect: float = 5.0
    first_token: float = 60.0
    idle: float = 30.0
    total: float = 600.0


LOCAL_CLOCKS = Clocks(first_token=300.0)
"""A local model reads a long prompt at the speed of the processor, and may have to be loaded first."""


def timed_out(clock: str, seconds: float) -> UpstreamTimeout:
    """The error of one clock that ran out."""
    error = UpstreamTimeout(f"The provider took too long: the {clock} clock ({seconds:g} s) ran out.")
    error.retryable = clock != "total"  # which leaves no time for another attempt
    return error


class Watch:
    """The clocks of one response; calls `expire` once when one runs out, and `error` then says which.

    `call` and `attempt` (loop times) are when the whole call and this attempt at it began.
    """

    def __init__(self, clocks: Clocks, call: float, attempt: float, expire: Callable[[], None]) -> None:
        self.error: UpstreamTimeout | None = None
        self._clocks = clocks
        self._loop = asyncio.get_running_loop()
        self._expire = expire
        self._end = call + clocks.total
        self._clock, self._seconds = "first token", clocks.first_token
        self._deadline = attempt + clocks.first_token
        self._timer = self._loop.call_at(min(self._deadline, self._end), self._look)

    def begin_idle(self) -> None:
        """The first content has arrived: from now on the idle clock counts."""
        self._restart("idle", self._clocks.idle)

    def begin_linger(self) -> None:
        """The provider said that it is done: what it owes now are formalities."""
        self._restart("linger", min(LINGER, self._seconds))

    def feed(self) -> None:
        """An event has arrived, or its reader is back: the running clock starts again."""
        self._deadline = self._loop.time() + self._seconds

    def pause(self) -> None:
        """Nobody is waiting for the upstream: only the total goes on."""
        self._deadline = self._end

    def stop(self) -> None:
        """No clock counts any more."""
        self._timer.cancel()

    def _restart(self, clock: str, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds
        self._timer.cancel()
        if self.error is None:
            self.feed()
            self._timer = self._loop.call_at(min(self._deadline, self._end), self._look)

    def _look(self) -> None:
        now = self._loop.time()
        due = min(self._deadline, self._end)
        if now < due:
            self._timer = self._loop.call_at(due, self._look)
            return
        self.error = (
            timed_out("total", self._clocks.total) if now >= self._end else timed_out(self._clock, self._seconds)
        )
        self._expire()
