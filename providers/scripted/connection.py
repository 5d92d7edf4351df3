"""One client of the scripted upstream: requests in, the bytes of a script out."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import httptools
import msgspec

from providers.scripted.render import Asked
from providers.scripted.response import RENDERINGS, friendly, http_chunk, plain, response, shaped, whole
from providers.scripted.script import FOREVER, Script

_ASKED = msgspec.json.Decoder(Asked)
_NEVER_LINGER = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing sends RST in the place of FIN


class ReceivedRequest:
    """One request as it arrived, and how its response ended."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        """Names in lower case."""
        self.body = body
        self.received = time.monotonic()
        self.ended: float | None = None
        """`time.monotonic()` when the response was over or the client was gone; None: still being answered."""
        self.abandoned = False
        """Whether the client closed the connection before the response was over."""

    @property
    def json(self) -> Any:
        """The parsed body."""
        return msgspec.json.decode(self.body)

    @property
    def key(self) -> str:
        """The API key that came with it, or an empty text."""
        return self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")


class Connection(asyncio.Protocol):
    """Parses requests, plays a script to each that asks for a reply, and answers the others plainly."""

    def __init__(
        self,
        next_script: Callable[[], Script | None],
        record: Callable[[ReceivedRequest], None],
        connections: "set[Connection]",
    ) -> None:
        self._next_script = next_script
        self._record = record
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None] | None = None
        self._request: ReceivedRequest | None = None

    @property
    def busy(self) -> bool:
        """Whether a response is being sent."""
        return self._request is not None and self._request.ended is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a TCP server's transport is one
        # asyncio sets this only where the listener names its protocol; without it each write waits for an ACK, 40 ms.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        if self._request is not None and self._request.ended is None:
            self._request.abandoned = True
            self._request.ended = time.monotonic()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()

    def abort(self) -> None:
        """Drop the connection and whatever was still to be sent."""
        self._transport.abort()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        path = self._url.decode("latin-1").partition("?")[0]
        method = self._parser.get_method().decode()
        request = ReceivedRequest(method, path, self._headers, b"".join(self._body))
        self._url, self._headers, self._body = b"", {}, []
        self._request = request
        self._record(request)
        self._answer(request)

    def _answer(self, request: ReceivedRequest) -> None:
        rendering = RENDERINGS.get(request.path)
        if rendering is None or request.method != "POST":
            self._write_whole(plain(request.path, len(request.body)), request)
            return
        try:
            asked = _ASKED.decode(request.body)
        except (msgspec.DecodeError, ValueError):
            self._write_whole(whole(400, rendering.error("invalid_request_error")), request)
            return
        asked.size = len(request.body)
        script = self._next_script()
        if script is None:
            ready = shaped(request.path, asked.model, asked.stream, asked.stream_options is not None)
            if ready is not None:
                script, pieces = ready
                if not script.first_after and not script.gap:
                    self._write_whole(b"".join(pieces), request)
                    return
                self._task = asyncio.create_task(self._play(script, pieces, request))
                return
            script = friendly(request.body)
        pieces = response(script, asked, rendering, request.key)
        self._task = asyncio.create_task(self._play(script, pieces, request))

    def _write_whole(self, answer: bytes, request: ReceivedRequest) -> None:
        self._transport.write(answer)
        request.ended = time.monotonic()

    async def _play(self, script: Script, pieces: list[bytes], request: ReceivedRequest) -> None:
        """Write the head, and the pieces of the body, each when its time has come."""
        await _silence(script.first_after)
        self._transport.write(pieces[0])
        if script.comments_every is not None:
            while True:
                self._transport.write(http_chunk(b": keep-alive\n\n"))
                await asyncio.sleep(script.comments_every)
        gap = script.split_gap if script.split else script.gap
        for place, piece in enumerate(pieces[1:]):
            if place and (gap or script.split):
                await asyncio.sleep(gap)
            self._transport.write(piece)
        await self._end(script)
        request.ended = time.monotonic()

    async def _end(self, script: Script) -> None:
        if script.ending == "stall":
            await _silence(FOREVER)
        elif script.ending == "close":
            self._transport.close()
        elif script.ending == "reset":
            await asyncio.sleep(0.02)  # so that the client has read what was sent before
            end = self._transport.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NEVER_LINGER)
            self._transport.abort()


async def _silence(seconds: float) -> None:
    if seconds == FOREVER:
        await asyncio.Event().wait()
    elif seconds:
        await asyncio.sleep(seconds)
