"""A reply that is still arriving: what the provider has said so far, and how it ended."""

import time
from collections.abc import Sequence

from gateway.turns.log import TurnLog
from providers.errors import ContentFiltered, EmptyCompletion, ProviderError
from providers.events import Event, Failed, Finished, FinishReason, Noticed, TextDelta, Usage, UsageReported
from storage.turns.rows import TurnState

MOST_TOKENS = 2**31 - 1
"""More than any provider can mean, and what a row can hold."""


class Draft:
    """Collects the events of one turn, and passes its text on to the log: one delta for all text of a read."""

    def __init__(self, log: TurnLog) -> None:
        self._log = log
        self._began = time.monotonic()
        self.notices: list[str] = []
        self.usage: Usage | None = None
        self.finish_reason: FinishReason | None = None
        self.error: ProviderError | None = None
        self.first_content_ms: int | None = None

    def add(self, events: Sequence[Event]) -> None:
        """Take the events of one read."""
        texts = []
        for event in events:
            if type(event) is TextDelta:
                texts.append(event.text)
            elif isinstance(event, Finished):
                self.finish_reason = event.reason
            elif isinstance(event, UsageReported):
                self.usage = event.usage if _is_plausible(event.usage) else None
            elif isinstance(event, Noticed):
                self.notices.append(event.sentence)
            elif isinstance(event, Failed):
                self.error = event.error
        if texts:
            if self.first_content_ms is None:
                self.first_content_ms = int((time.monotonic() - self._began) * 1000)
            self._log.add_text("".join(texts))

    def ended(self) -> TurnState:
        """How the answer ended, once its stream is over: completed only if the provider said so."""
        if self.error is not None:
            return TurnState.filtered if isinstance(self.error, ContentFiltered) else TurnState.failed
        if self.finish_reason is FinishReason.content_filter:
            return TurnState.filtered
        if not self._log.text:
            self.error = EmptyCompletion("The model ended its answer without a word. Try again.")
            return TurnState.failed
        return TurnState.truncated if self.finish_reason is None else TurnState.completed


def _is_plausible(usage: Usage) -> bool:
    return (
        max(
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens,
            usage.reasoning_tokens,
        )
        <= MOST_TOKENS
    )
