"""How often somebody may ask this process for something: the scheme of `storage.people.allowances`, in memory.

It is for requests whose success is limited across processes later on: they pay no unit for it, and what this process
does before then (parsing, counting tokens) is bounded all the same.
"""

import time

from gateway.errors import TooManyRequests


class RequestRate:
    """Requests by key, `per_minute` of them a minute and at once."""

    def __init__(self, per_minute: int, sentence: str) -> None:
        self._interval = 60 / per_minute
        self._ahead = 60 - self._interval
        self._sentence = sentence
        self._full_at: dict[str, float] = {}

    def spend(self, key: str) -> None:
        """Use one request of a key. Raises `TooManyRequests` with the sentence when none is left."""
        moment = time.monotonic()
        full_at = max(self._full_at.get(key, moment), moment)
        if full_at - moment > self._ahead:
            raise TooManyRequests(self._sentence, retry_after=full_at - moment - self._ahead)
        self._full_at.pop(key, None)
        self._full_at[key] = full_at + self._interval
        while self._full_at[oldest := next(iter(self._full_at))] <= moment:  # it has its whole burst again
            del self._full_at[oldest]
