"""An event loop whose time passes at once when it has nothing else to do: clocks are tested to the instant."""

import asyncio
import selectors


class _Selector(selectors.DefaultSelector):
    """Does not wait, but moves the time on by what it would have waited."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout is not None else None)
        if not ready:
            self.now += timeout or 0.0
        return ready


class InstantLoop(asyncio.SelectorEventLoop):
    """For what stays within the process: nothing from outside comes in time."""

    def __init__(self) -> None:
        self._passing = _Selector()
        super().__init__(self._passing)

    def time(self) -> float:
        return self._passing.now
