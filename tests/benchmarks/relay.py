"""The yardstick: what Litestar and aiohttp cost by themselves.

It posts what it is sent to the upstream, decodes every event with msgspec, encodes it again, and sends all events of
one read together. It knows nobody, checks nothing and keeps nothing.
"""

import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import uvicorn
from litestar import Litestar, Request, post
from litestar.datastructures import State
from litestar.response import Stream


class Delta(msgspec.Struct):
    """The fields of an event that are passed on."""

    content: str | None = None


class Choice(msgspec.Struct):
    """One of the answers of a chunk."""

    delta: Delta


class Chunk(msgspec.Struct):
    """One event."""

    choices: list[Choice]


class Text(msgspec.Struct):
    """What the client is sent."""

    text: str


_decode = msgspec.json.Decoder(Chunk).decode
_encode = msgspec.json.Encoder().encode


def _again(line: bytes) -> bytes:
    if line == b"data: [DONE]":
        return b"data: [DONE]\n\n"
    chunk = _decode(line[6:])
    if not chunk.choices or not chunk.choices[0].delta.content:
        return b""
    return b"data: %b\n\n" % _encode(Text(chunk.choices[0].delta.content))


async def _events(session: aiohttp.ClientSession, body: bytes) -> AsyncGenerator[bytes, None]:
    rest = b""
    async with session.post(os.environ["UPSTREAM"], data=body, headers={"content-type": "application/json"}) as answer:
        async for read in answer.content.iter_any():
            *whole, rest = (rest + read).split(b"\n\n")
            if ready := b"".join([_again(event) for event in whole]):
                yield ready


@post("/stream", status_code=200)
async def relay(request: Request[Any, Any, Any], state: State) -> Stream:
    """Pass a request on, and its answer back."""
    return Stream(_events(state.session, await request.body()), media_type="text/event-stream")


@asynccontextmanager
async def _session(app: Litestar) -> AsyncIterator[None]:
    connector = aiohttp.TCPConnector(limit=0)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, auto_decompress=False) as session:
        app.state.session = session
        yield


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(listener.getsockname()[1], flush=True)
    app = Litestar([relay], lifespan=[_session], openapi_config=None, logging_config=None)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="error", backlog=4096)
    uvicorn.Server(config).run(sockets=[listener])
