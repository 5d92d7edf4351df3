"""Asking a provider, and what its events say."""

from collections.abc import Callable

from providers.events import Event, Finished, FinishReason, Noticed, TextDelta, Usage, UsageReported
from providers.messages import Message, Role
from providers.models import Model, ModelRequest
from providers.upstream.http import HTTPProvider

KEY = "sk-canary-5f1d7c"
MODEL = Model(id="fast", provider="house", name="any", window=8000, max_output=1000)
REQUEST = ModelRequest(model=MODEL, messages=(Message(Role.user, "Hi"),), max_output_tokens=100, request_id="req-42")
TALK = "The quick brown fox jumps over the lazy dog."
"""What most faults say before they go wrong."""

Build = Callable[..., HTTPProvider]
"""The fixture `build`."""


async def collected(provider: HTTPProvider, request: ModelRequest = REQUEST) -> list[Event]:
    return [event async for batch in provider.stream(request) for event in batch]


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def notices_of(events: list[Event]) -> list[str]:
    return [event.sentence for event in events if isinstance(event, Noticed)]


def finish_of(events: list[Event]) -> FinishReason | None:
    return next((event.reason for event in events if isinstance(event, Finished)), None)


def usage_of(events: list[Event]) -> list[Usage]:
    return [event.usage for event in events if isinstance(event, UsageReported)]
