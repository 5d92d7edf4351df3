"""What the readers of both wires share: bytes to frames, frames to decoded chunks, and when to fall silent."""

import json
import re
from typing import Any, Generic, TypeVar

import msgspec

from providers.errors import ProtocolError, ProviderError, ResponseTooLarge
from providers.events import Event, Failed
from providers.wires.sse import RESPONSE_TOO_LONG, Frame, SSESplitter
from providers.wires.upstream_errors import stream_error
from providers.wires.wire import MAX_RESPONSE

Chunk = TypeVar("Chunk")

MALFORMED = (msgspec.DecodeError, ValueError, RecursionError)
"""What decoding someone else's JSON may raise."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def storable(text: str) -> str:
    """The text without NUL, which PostgreSQL cannot hold (U+FFFD stands in its place)."""
    return text.replace("\0", "\ufffd") if "\0" in text else text


class ChunkReader(Generic[Chunk]):
    """A `StreamReader` whose wire only has to say what one decoded chunk means.

    `finished` is set by the wire when the provider said that it is done: only usage may follow, no failure.
    `done` is set by the wire's last event or by a failure: nothing follows, so a transport may stop reading.
    """

    def __init__(self, decoder: msgspec.json.Decoder[Chunk]) -> None:
        self.finished = False
        self.done = False
        self._decode = decoder.decode
        self._splitter = SSESplitter()
        self._begun = False
        self._document: bytearray | None = None  # the body, when it is no event stream

    def take(self, name: bytes, chunk: Chunk, events: list[Event]) -> None:
        """Append what one chunk means; `name` is the name of its server-sent event."""
        raise NotImplementedError

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        events: list[Event] = []
        if self.done:
            return events
        if not self._begun:
            first = data.lstrip()[:1]
            if not first:
                return events
            self._begun = True
            if first in b"{[<":  # no event stream begins so: a JSON body, or a proxy's HTML page
                self._document = bytearray()
        if self._document is not None:
            self._document += data
            if len(self._document) > MAX_RESPONSE:
                self.fail(ResponseTooLarge(RESPONSE_TOO_LONG), events)
            return events
        self._read(self._splitter.feed(data), events)
        if self._splitter.too_large and not self.done:
            self.fail(ResponseTooLarge(self._splitter.too_large), events)
        return events

    def close(self) -> list[Event]:
        """The events left when the connection ended. A last line that was cut in two is no breach of the wire."""
        events: list[Event] = []
        if self.done:
            return events
        if self._document is not None:
            self.fail(_document_error(bytes(self._document)), events)
            return events
        for name, data in self._splitter.close():
            try:
                self._decode(_repaired(data))
            except MALFORMED:
                break
            self._read([(name, data)], events)
        self.done = True
        return events

    def fail(self, error: ProviderError, events: list[Event]) -> None:
        """End the stream here, with `Failed` unless the reply was whole already."""
        self.done = True
        if not self.finished:
            events.append(Failed(error))

    def _read(self, frames: list[Frame], events: list[Event]) -> None:
        decode, take = self._decode, self.take
        for name, data in frames:
            try:
                chunk = decode(data)
            except MALFORMED:
                if data.startswith(b"[DONE]"):
                    self.done = True
                    return
                if not data:  # some servers keep a connection warm with an empty `data:`
                    continue
                try:
                    chunk = decode(_repaired(data))
                except MALFORMED:
                    error = ProtocolError("The provider sent an event that is not what its wire promises.")
                    self.fail(error, events)
                    return
            take(name, chunk, events)
            if self.done:
                return


def _repaired(data: bytes) -> bytes:
    """The JSON of a line whose bytes are not all UTF-8, or whose escapes are half a character: U+FFFD for these."""
    value = json.loads(data.decode("utf-8", "replace"), strict=False)
    return _SURROGATE.sub("\ufffd", json.dumps(value, ensure_ascii=False)).encode()


def _document_error(body: bytes) -> ProviderError:
    try:
        answer: Any = msgspec.json.decode(body)
    except MALFORMED:
        answer = None
    if isinstance(answer, dict) and answer.get("error"):
        return stream_error(answer)
    return ProtocolError("The provider answered with a whole document where a stream was asked for.")
