"""An upstream that is never the bottleneck: ready-made chat completions over real HTTP.

The model's name is the shape of the answer, `fake-<chunks>-<ms to the first>-<ms between two>`. Without a gap the whole
answer leaves in one write; with one, each chunk leaves when its time has come by a schedule that was fixed at the
beginning, so a slow reader does not slow down what is offered.
"""

import asyncio
import json
import re
import socket
from functools import lru_cache

import uvloop

WORD = "maple "
"""What every chunk says; readers count it."""

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"

_MODEL = re.compile(rb'"model"\s*:\s*"fake-(\d+)-(\d+)-(\d+)"')
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)


def _frame(data: str) -> bytes:
    event = f"data: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(event), event)


@lru_cache
def frames(chunks: int) -> tuple[bytes, ...]:
    """The frames of an answer: one a chunk, then in one the finish reason, the usage and the end of the stream."""
    about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "fake"}

    def chunk(**fields: object) -> str:
        return json.dumps({**about, **fields}, separators=(",", ":"))

    said = [{"index": 0, "delta": {"content": WORD}, "finish_reason": None}]
    done = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    usage = {"prompt_tokens": 40, "completion_tokens": chunks, "total_tokens": 40 + chunks}
    end = _frame(chunk(choices=done)) + _frame(chunk(choices=[], usage=usage)) + _frame("[DONE]") + END
    return (*[_frame(chunk(choices=said))] * chunks, end)


@lru_cache
def burst(chunks: int) -> bytes:
    """The whole response in one piece."""
    return HEAD + b"".join(frames(chunks))


class Upstream(asyncio.Protocol):
    """One connection, kept alive; one request after another."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send small writes at once."""
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._write = transport.write  # type: ignore[attr-defined]
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_lost(self, error: Exception | None) -> None:
        """Say nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer when the request has arrived whole."""
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not blank or (length is not None and len(body) < int(length[1])):
            return
        self._received = b""
        shape = _MODEL.search(body)
        if shape is None:
            self._write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            return
        chunks, first, gap = (int(number) for number in shape.groups())
        if not gap:
            self._timer = self._loop.call_later(first / 1000, self._write, burst(chunks))
            return
        self._frames, self._next = frames(chunks), 0
        self._begin, self._gap = self._loop.time() + first / 1000, gap / 1000
        self._timer = self._loop.call_at(self._begin, self._say)

    def _say(self) -> None:
        frame = self._frames[self._next]
        self._write(frame if self._next else HEAD + frame)
        self._next += 1
        if self._next < len(self._frames):
            self._timer = self._loop.call_at(self._begin + self._next * self._gap, self._say)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
