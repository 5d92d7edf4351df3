"""When a request is asked again, and how long that waits. No other layer retries: two that do multiply.

A retry is for the time before the first content; what was said cannot be taken back, and is billed.
"""

from asyncio import sleep
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from providers.errors import EmptyCompletion, ProviderError
from providers.upstream.keys import KeyPool

MAX_RETRIES = 2

MAX_RETRY_AFTER = 20.0
"""Seconds of a `retry-after` that are waited out; with a longer one the caller does better to know at once."""

Answer = TypeVar("Answer")

_full_jitter = wait_random_exponential(multiplier=0.5, max=8)


class Retries:
    """The retries of one call. `notices` collects a sentence for each."""

    def __init__(self, keys: KeyPool) -> None:
        self.notices: list[str] = []
        self._keys = keys
        self._empty_before = False

    async def run(self, error: ProviderError, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
        """What a further attempt answers, after the first one raised `error`. Raises the last attempt's error.

        tenacity is given the first attempt's error as if it had made that attempt itself, so that the calls which
        succeed at once, nearly all of them, do not pay for it.
        """
        first: list[ProviderError] = [error]

        async def next_attempt() -> Answer:
            if first:
                raise first.pop()
            return await attempt()

        retrying = AsyncRetrying(
            sleep=sleep,
            stop=stop_after_attempt(1 + MAX_RETRIES),
            retry=retry_if_exception(self._is_worth_it),
            wait=self._seconds,
            before_sleep=self._notice,
            reraise=True,
        )
        return await retrying(next_attempt)

    def _is_worth_it(self, error: BaseException) -> bool:
        if not isinstance(error, ProviderError):
            return False
        if isinstance(error, EmptyCompletion):
            first, self._empty_before = not self._empty_before, True
            return first
        if self._can_change_key(error):
            return True
        return error.retryable and (error.retry_after or 0.0) <= MAX_RETRY_AFTER

    def _seconds(self, state: RetryCallState) -> float:
        error = _failure(state)
        if self._can_change_key(error):
            return 0.0
        return max(_full_jitter(state), error.retry_after or 0.0)

    def _notice(self, state: RetryCallState) -> None:
        error = _failure(state)
        how = "with another key" if self._can_change_key(error) else f"after {state.upcoming_sleep:.1f} s"
        self.notices.append(f"Asked again {how}: {error.message}")

    def _can_change_key(self, error: ProviderError) -> bool:
        return error.blames_key and self._keys.has_rested_key()


def _failure(state: RetryCallState) -> ProviderError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, ProviderError):
        raise TypeError("Only a ProviderError is retried.")
    return error
