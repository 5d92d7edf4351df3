"""What a wire is: a model family's format, without I/O. Bytes in, events out."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from providers.errors import ProviderError
from providers.events import Event
from providers.models import ModelRequest

MAX_LINE = 1 << 20
"""Bytes of one line of a stream; a longer one ends the stream with `ResponseTooLarge`."""

MAX_RESPONSE = 16 << 20
"""Bytes of one response: a reply of 64,000 tokens at the 250 bytes that providers spend on sending each of them."""


class WireRequest(msgspec.Struct, frozen=True):
    """A request ready to be posted; `notices` say in sentences what of the asked-for was left out, and why."""

    body: bytes
    notices: tuple[str, ...] = ()


class StreamReader(Protocol):
    """Turns the bytes of one response into events, wherever the network split them."""

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete. Never raises: what breaks the wire's rules becomes `Failed`."""
        ...

    def close(self) -> list[Event]:
        """The events left when the connection ended, with or without a last line break."""
        ...


class Wire(Protocol):
    """One model family's format."""

    path: str
    """Appended to the provider's base URL."""

    def headers(self, key: str | None) -> dict[str, str]:
        """The headers of a request, the key among them."""
        ...

    def request(self, request: ModelRequest) -> WireRequest:
        """The body to post, and notices about what was left out."""
        ...

    def reader(self) -> StreamReader:
        """A reader for one response of status 200."""
        ...

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """The error that a response of another status stands for; quotes nothing of it but codes and ids."""
        ...
