"""The provider that needs nothing: it says back what it hears, word by word, so that all else can be seen to work."""

import asyncio
from collections.abc import AsyncGenerator

from providers.events import Event, Finished, FinishReason, Noticed, TextDelta, Usage, UsageReported
from providers.messages import Role
from providers.models import ModelRequest
from providers.provider import Availability, Readiness
from providers.tokens import MESSAGE_OVERHEAD, count_tokens

WORD_DELAY = 0.02
"""Seconds between two words."""

MAX_QUOTED = 60
"""Words that are quoted of a long message."""


class EchoProvider:
    """Answers with what the user said last. `notice` tells the asker why it is the echo who answers."""

    def __init__(self, name: str, *, notice: str = "", word_delay: float = WORD_DELAY) -> None:
        self.name = name
        self._notice = notice
        self._word_delay = word_delay

    def availability(self) -> Availability:
        """Always ready."""
        return Availability(Readiness.ready)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[list[Event], None]:
        """The answer, as `Provider.stream` promises it; the usage is our own count."""
        reply = _reply_to(request)
        first: list[Event] = [Noticed(self._notice)] if self._notice else []
        for word in _words(reply):
            yield [*first, TextDelta(word)]
            first = []
            await asyncio.sleep(self._word_delay)
        usage = Usage(
            input_tokens=sum(count_tokens(message.content) + MESSAGE_OVERHEAD for message in request.messages),
            output_tokens=count_tokens(reply),
            estimated=True,
        )
        yield [UsageReported(usage), Finished(FinishReason.stop)]


def _reply_to(request: ModelRequest) -> str:
    said = [message.content for message in request.messages if message.role is Role.user]
    words = said[-1].split() if said else []
    if not words:
        return "I am the echo of this gateway: say something, and I say it back."
    quoted = " ".join(words[:MAX_QUOTED]) + (" …" if len(words) > MAX_QUOTED else "")
    return f"You said: “{quoted}” I am the echo of this gateway, and no model: I say back what I hear."


def _words(text: str) -> list[str]:
    first, *rest = text.split(" ")
    return [first, *(f" {word}" for word in rest)]
