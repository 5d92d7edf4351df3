"""The bytes of one HTTP response: the head, the pieces of the body in HTTP chunks, and what ends them. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

import msgspec

from providers.scripted.render import AnthropicRendering, Asked, OpenAIRendering, encoded, raw
from providers.scripted.script import Script

Rendering = OpenAIRendering | AnthropicRendering

RENDERINGS: dict[str, Rendering] = {
    "/v1/chat/completions": OpenAIRendering(),
    "/v1/messages": AnthropicRendering(),
}
"""The paths on which a reply can be asked for."""

_SHAPE = re.compile(r"fake-(\d{1,6})-(\d{1,6})-(\d{1,6})", re.ASCII)
_REQUEST_ID = "req_scripted"


def response(script: Script, asked: Asked, rendering: Rendering, key: str) -> list[bytes]:
    """A script as it goes over the wire: the head first, then pieces that are each written by themselves."""
    streams = asked.stream and not script.whole
    if script.body is not None:
        frames = [raw(script.body.replace("{key}", key))] if script.body else []
    elif script.status != 200:
        frames = [rendering.error(script.error or "server_error")]
    elif streams:
        frames = list(_disguised(script, rendering.stream(script, asked)))
    else:
        frames = [rendering.document(script, asked)]
    if script.cut_at is not None:
        frames = list(_up_to(frames, script.cut_at))
    if script.split:
        body = b"".join(frames)
        frames = [body[start : start + script.split] for start in range(0, len(body), script.split)]
    kind = script.content_type or ("text/event-stream" if streams and script.status == 200 else "application/json")
    if script.status == 204:
        return [_head(204, {"content-type": kind, **script.headers})]
    head = _head(script.status, {"content-type": kind, "transfer-encoding": "chunked", **script.headers})
    pieces = [head, *map(http_chunk, frames)]
    if script.ending == "clean":
        pieces[-1] += b"0\r\n\r\n"
    return pieces


@lru_cache(maxsize=256)
def shaped(path: str, model: str, stream: bool, usage: bool) -> tuple[Script, list[bytes]] | None:
    """The script and the ready response of a model named `fake-<chunks>-<ttft ms>-<gap ms>`; None for other names."""
    shape = _SHAPE.fullmatch(model)
    if shape is None:
        return None
    chunks, first, gap = (int(number) for number in shape.groups())
    script = Script(reply=("token ",) * chunks, first_after=first / 1000, gap=gap / 1000)
    asked = Asked(model, stream, {"include_usage": usage}, size=40)
    return script, response(script, asked, RENDERINGS[path], "")


def friendly(body: bytes) -> Script:
    """What is said to whom nothing was scripted for: a greeting that quotes the last message of the request."""
    try:
        said = msgspec.json.decode(body)["messages"][-1]["content"]
    except (msgspec.DecodeError, ValueError, TypeError, LookupError):
        said = ""
    if isinstance(said, list):
        said = " ".join(str(part.get("text", "")) for part in said if isinstance(part, dict))
    return Script(reply=f"Hello from the scripted upstream! You said: {said}" if said else "Hello!")


def plain(path: str, size: int) -> bytes:
    """The whole response to a request that asks for no reply: the models, a count of tokens, or 404."""
    if path == "/v1/models":
        model = {"id": "scripted", "object": "model", "type": "model", "created": 1, "owned_by": "nobody"}
        return whole(200, encoded({"object": "list", "data": [model], "has_more": False}))
    if path == "/v1/messages/count_tokens":
        return whole(200, encoded({"input_tokens": max(1, size // 4)}))
    return whole(404, OpenAIRendering().error("not_found_error"))


def whole(status: int, body: bytes) -> bytes:
    """A response with one JSON document."""
    return _head(status, {"content-type": "application/json", "content-length": str(len(body))}) + body


def http_chunk(data: bytes) -> bytes:
    """A piece of a body in the chunked transfer coding (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    named = {"x-request-id": _REQUEST_ID, "request-id": _REQUEST_ID, **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status} Scripted\r\n{lines}\r\n".encode("latin-1")


def _disguised(script: Script, frames: list[bytes]) -> Iterator[bytes]:
    if script.byte_order_mark:
        yield b"\xef\xbb\xbf"
    for place, frame in enumerate(frames):
        if place == len(frames) - 1 and not script.last_newline:
            frame = frame.rstrip(b"\n")
        yield frame if script.newline == "\n" else frame.replace(b"\n", script.newline.encode())


def _up_to(frames: Iterable[bytes], size: int) -> Iterator[bytes]:
    for frame in frames:
        if size > 0:
            yield frame[:size]
        size -= len(frame)
