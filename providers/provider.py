"""What a provider is: someone who answers a request with a stream of events."""

from collections.abc import AsyncGenerator
from enum import StrEnum
from typing import Protocol

import msgspec

from providers.events import Event
from providers.models import ModelRequest


class Readiness(StrEnum):
    """Whether a provider would answer now."""

    ready = "ready"
    loading = "loading"
    no_key = "no_key"
    unavailable = "unavailable"


class Availability(msgspec.Struct, frozen=True):
    """Whether a provider would answer now, and a sentence that says why not and what to do."""

    readiness: Readiness
    sentence: str = ""


class Provider(Protocol):
    """Someone who answers: an upstream over HTTP, the local model, or the echo."""

    name: str

    def availability(self) -> Availability:
        """Whether it would answer now; asks nobody."""
        ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[list[Event], None]:
        """The answer, in batches: all events of one read together.

        Raises a `ProviderError` as long as no content (text, reasoning, tool call) was yielded, after its own
        retries. From then on a failure is the event `Failed`, the last one. An end without `Finished` is a
        truncated answer. Closing the generator closes the upstream connection at once.
        """
        ...
