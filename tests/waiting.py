"""Waiting for what has to come about, however slow the machine is."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 30.0
"""Seconds after which it will not come about any more."""


async def until(condition: Callable[[], Any]) -> None:
    """Wait until the condition holds, and let the event loop go on meanwhile."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"it did not come about within {PATIENCE:g} s"
        await asyncio.sleep(0.005)


def wait_until(condition: Callable[[], Any]) -> None:
    """Wait until the condition holds, where no event loop runs."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"it did not come about within {PATIENCE:g} s"
        time.sleep(0.005)
