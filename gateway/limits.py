"""Limits that are counted where the work happens, in this process; rates are kept in storage."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from gateway.errors import TooManyRequests


class OpenStreams:
    """How many event streams each person holds open."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[UUID] = Counter()

    def require_room(self, user_id: UUID) -> None:
        """Raise `TooManyRequests` when a person holds as many streams as they may."""
        if self._open[user_id] >= self._most:
            raise TooManyRequests(
                f"You have {self._most} event streams open. Close one, or wait for a reply to end.", retry_after=1
            )

    @contextmanager
    def holding(self, user_id: UUID) -> Iterator[None]:
        """Count a stream as open."""
        self._open[user_id] += 1
        try:
            yield
        finally:
            self._open[user_id] -= 1
            if not self._open[user_id]:
                del self._open[user_id]
