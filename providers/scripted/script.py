"""What the scripted upstream plays: one reply in words that fit both wires, and how it goes wrong. Pure values."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

FOREVER = float("inf")
"""Seconds that never end, for stalls."""


class ToolCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call; `arguments` are JSON text, whole or in the fragments in which they are to be sent."""

    name: str
    arguments: str | tuple[str, ...] = "{}"
    id: str = "call_1"


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Usage as it is to be reported: `input` is the whole prompt, `cached` the part of it read from a cache.

    None is counted: a quarter of the request's bytes, and the chunks of the reply.
    """

    input: int | None = None
    output: int | None = None
    cached: int = 0
    times: int = 1
    """How often it is reported."""


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One response. Without any argument it is a well-formed, empty reply; times are in seconds.

    In texts the characters U+DC80 to U+DCFF stand for the raw bytes 0x80 to 0xFF (Python's `surrogateescape`), and
    any other lone surrogate is sent as its JSON escape: so a script can break UTF-8 on either wire.
    """

    reply: str | tuple[str, ...] = ""
    """The text, cut into words, or the chunks in which it is to be sent."""
    reasoning: str | tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str | None = "stop"
    """The finish reason, in the words of chat completions; None: the reply never says that it is done."""
    usage: Figures | None = Figures()
    """None: usage is missing."""
    done: bool = True
    """Whether `[DONE]`, or `message_stop`, follows."""

    first_after: float = 0.0
    """How long it is silent before the headers; `FOREVER` is possible."""
    gap: float = 0.0
    """How long it is silent between two chunks."""
    comments_every: float | None = None
    """After the headers, nothing but keep-alive comments, this far apart, without an end."""

    status: int = 200
    error: str | None = None
    """With an error status: the code in the error body. With 200: the code of an error event after the chunks."""
    headers: dict[str, str] = {}
    body: str | None = None
    """The whole body as it stands, in the place of a reply. `{key}` becomes the key of the request."""
    content_type: str | None = None
    whole: bool = False
    """Answer with one JSON document, though a stream was asked for."""

    insert: str = ""
    """Raw text after the chunks, before the finish reason."""
    insert_times: int = 1
    newline: Literal["\n", "\r\n", "\r"] = "\n"
    byte_order_mark: bool = False
    last_newline: bool = True
    """Whether the last line of the stream ends with a line break."""

    split: int | None = None
    """Write the body in pieces of so many bytes, each in its own HTTP chunk."""
    split_gap: float = 0.0
    """How long it is silent between two of these pieces."""
    cut_at: int | None = None
    """How many bytes of the body are sent; None: all."""
    ending: Literal["clean", "close", "reset", "stall"] = "clean"
    """What happens then: a proper end, a connection closed in mid-body, one reset (RST), or silence."""

    def chunks(self) -> tuple[str, ...]:
        """The reply in chunks; joined they are the reply."""
        return chunked(self.reply)

    def text(self) -> str:
        """The whole reply."""
        return "".join(self.chunks())


def chunked(text: str | tuple[str, ...]) -> tuple[str, ...]:
    """A text word by word, each with the blank before it; chunks stay as they are."""
    return tuple(_words(text)) if isinstance(text, str) else text


def _words(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = text.find(" ", start + 1)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end


def script_from(plain: Any, faults: Mapping[str, Script]) -> Script:
    """A script out of YAML: a text, or the fields of `Script`, on top of a named `fault` if one is given.

    Raises `ValueError` with a sentence.
    """
    if isinstance(plain, str):
        return Script(reply=plain)
    if not isinstance(plain, Mapping):
        raise ValueError(f"A script is a text or a mapping, not {plain!r}.")
    fields = dict(plain)
    name = fields.pop("fault", None)
    if name is not None and name not in faults:
        raise ValueError(f"There is no fault {name!r}; there are {', '.join(sorted(faults))}.")
    base = msgspec.structs.asdict(faults[name]) if name is not None else {}
    try:
        return msgspec.convert({**base, **fields}, Script)
    except msgspec.ValidationError as invalid:
        raise ValueError(f"This is no script: {invalid}.") from None
