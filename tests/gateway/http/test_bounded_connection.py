"""Clients that send too much, too slowly, or never read: each is let go, and nobody else notices."""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from builders import serve_gateway

from gateway.http import bounded_connection
from gateway.http.bounded_connection import BoundedConnection
from gateway.settings import Settings

pytestmark = pytest.mark.anyio

PATIENCE = 0.3
"""What the clocks are set to here."""


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The loop of `gateway serve`, whose sockets buffer otherwise than asyncio's."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def database_address(new_database: Callable[[str], str]) -> str:
    return new_database("sqlite")


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for clock in ("HEADERS_WITHIN", "BODY_PATIENCE", "ANSWER_PATIENCE"):
        monkeypatch.setattr(bounded_connection, clock, PATIENCE)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body and answers with as many bytes as the path says; `/deaf` does not read, `/late` takes its time."""
    size = 0
    if scope["path"] != "/deaf":
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size += len(message["body"])
            if not message["more_body"]:
                break
    if scope["path"] == "/late":
        await asyncio.sleep(PATIENCE * 2)
    wanted = scope["path"][1:]
    body = b"x" * int(wanted) if wanted.isdigit() else b"%d bytes" % size
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Server(uvicorn.Server):
    """A server of a test, whose socket buffers are as small as the kernel lets them be."""

    def __init__(self) -> None:
        super().__init__(uvicorn.Config(application, http=BoundedConnection, ws="none", log_config=None))
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.listener.bind(("127.0.0.1", 0))
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)


@pytest.fixture
async def server() -> AsyncIterator[_Server]:
    serving = _Server()
    await serving.startup(sockets=[serving.listener])
    yield serving
    serving.force_exit = True
    await serving.shutdown(sockets=[serving.listener])


class Client:
    """A connection that is spoken on byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.began = time.monotonic()

    async def say(self, text: str | bytes) -> None:
        self.writer.write(text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode())
        await self.writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """The next answer: its status and its body."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        return int(head.split()[1]), await self.reader.readexactly(int(fields[b"content-length"]))

    async def until_hung_up(self) -> float:
        """Seconds from the connection until the server ended it, having said nothing more."""
        assert await asyncio.wait_for(self.reader.read(), 5) == b""
        return time.monotonic() - self.began


@asynccontextmanager
async def connected(server: _Server, **options: Any) -> AsyncIterator[Client]:
    stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stream.setblocking(False)
    await asyncio.get_running_loop().sock_connect(stream, server.listener.getsockname())
    client = Client(*await asyncio.open_connection(sock=stream, limit=4096))
    try:
        yield client
    finally:
        client.writer.close()


@asynccontextmanager
async def sending(client: Client, piece: bytes) -> AsyncIterator[None]:
    """Send this again and again, for as long as anybody takes it."""

    async def send() -> None:
        while True:
            await client.say(piece)
            await asyncio.sleep(PATIENCE / 20)

    task = asyncio.create_task(send())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def nobody_connected(server: _Server) -> bool:
    """Whether the server has let go of everybody, at once or in the time of a clock."""
    for _ in range(round(PATIENCE * 4 / 0.02)):
        if not server.server_state.connections:
            return True
        await asyncio.sleep(0.02)
    return False


LARGE = {
    "one large": ["GET / HTTP/1.1\nx: " + "x" * 66_000 + "\n\n"],
    "one in pieces that never ends": ["GET / HTTP/1.1\nx: ", *["x" * 10_000] * 7],
    "many small": ["GET / HTTP/1.1\n", *["x: y\n"] * 200, "\n"],
    "a large address": ["GET /" + "x" * 66_000 + " HTTP/1.1\n\n"],
    "trailers": ["POST / HTTP/1.1\ntransfer-encoding: chunked\n\n0\n", *["x: " + "y" * 9_000 + "\n"] * 8],
    "chunks of nothing but names": [
        "POST / HTTP/1.1\ntransfer-encoding: chunked\n\n",
        *["1;" + "x" * 9_000 + "\na\n"] * 8,
    ],
}


@pytest.mark.parametrize("pieces", LARGE.values(), ids=LARGE.keys())
async def test_large_headers_are_refused(server: _Server, pieces: list[str]) -> None:
    async with connected(server) as client:
        for piece in pieces:
            await client.say(piece)
        status, body = await client.answer()
        assert (status, json.loads(body)["code"]) == (431, "headers-too-large")
        assert await nobody_connected(server)


async def test_headers_below_the_limit_are_fine(server: _Server) -> None:
    async with connected(server) as client:
        for _ in range(3):
            await client.say("GET /3 HTTP/1.1\nx: " + "x" * 60_000 + "\n\n")
            assert await client.answer() == (200, b"xxx")


@pytest.mark.parametrize("begun", ["", "GET / HT", "GET / HTTP/1.1\nhost: x\n", "\n"])
async def test_headers_have_to_come_in_time(server: _Server, begun: str) -> None:
    async with connected(server) as client:
        await client.say(begun)
        assert PATIENCE - 0.05 < await client.until_hung_up() < PATIENCE * 4


@pytest.mark.parametrize("begun", ["GET / HT", "\n"])
async def test_later_headers_have_to_come_in_time_too(server: _Server, begun: str) -> None:
    async with connected(server) as client:
        await client.say("GET /3 HTTP/1.1\n\n")
        assert await client.answer() == (200, b"xxx")
        await client.say(begun)
        assert await client.until_hung_up() < PATIENCE * 4


@pytest.mark.parametrize("before", ["GET /3 HTTP/1.1\n\n", "GET /3 HTTP/1.1\n\n" * 3], ids=["one", "queued"])
async def test_headers_begun_with_earlier_requests_have_their_time(server: _Server, before: str) -> None:
    server.config.timeout_keep_alive = 0  # the time until an idle connection is closed, which this one is not
    async with connected(server) as client:
        await client.say(before + "GET /5 HT")
        for _ in range(before.count("GET")):
            assert await client.answer() == (200, b"xxx")
        await asyncio.sleep(PATIENCE / 3)
        await client.say("TP/1.1\n\nGET / HT")
        assert await client.answer() == (200, b"xxxxx")
        assert await client.until_hung_up() > PATIENCE


async def test_headers_that_trickle_are_late_all_the_same(server: _Server) -> None:
    async with connected(server) as client:
        await client.say("GET / HTTP/1.1\nx: ")
        async with sending(client, b"x"):
            assert await nobody_connected(server)


async def test_a_body_that_stands_still_is_refused(server: _Server) -> None:
    async with connected(server) as client:
        await client.say("POST / HTTP/1.1\ncontent-length: 100000\n\nabc")
        status, body = await client.answer()
        assert (status, json.loads(body)["code"]) == (408, "request-timeout")
        assert PATIENCE - 0.05 < await client.until_hung_up() < PATIENCE * 4


async def test_a_body_that_trickles_is_refused(server: _Server) -> None:
    async with connected(server) as client:
        await client.say("POST / HTTP/1.1\ncontent-length: 100000\n\n")
        async with sending(client, b"x"):
            assert await nobody_connected(server)


async def test_a_slow_body_that_gets_on_is_fine(server: _Server) -> None:
    async with connected(server) as client:
        await client.say("POST / HTTP/1.1\ncontent-length: 200000\n\n")
        for _ in range(20):
            await client.say(b"x" * 10_000)
            await asyncio.sleep(PATIENCE / 5)
        assert await client.answer() == (200, b"200000 bytes")
        assert time.monotonic() - client.began > PATIENCE * 3


async def test_a_body_does_not_go_on_for_ever_after_its_answer(server: _Server) -> None:
    async with connected(server) as client:
        await client.say("POST /deaf HTTP/1.1\ncontent-length: 1000000000\n\n")
        assert (await client.answer())[0] == 200
        async with sending(client, b"x" * 10_000):
            assert await nobody_connected(server)


async def test_requests_do_not_queue_without_end(server: _Server) -> None:
    async with connected(server) as client:
        await client.say("GET /deaf HTTP/1.1\n\n" * 10)
        for _ in range(10):
            assert await client.answer() == (200, b"0 bytes")
        await client.say("GET /late HTTP/1.1\n\n" + "GET /3 HTTP/1.1\n\n" * 1000)
        assert await client.answer() == (200, b"0 bytes")
        for _ in range(bounded_connection.MOST_PIPELINED):
            assert await client.answer() == (200, b"xxx")
        await client.until_hung_up()


REFUSED = {
    "malformed": "NONSENSE\n\n",
    "large headers": "GET / HTTP/1.1\nx: " + "x" * 66_000 + "\n\n",
    "late headers": "GET / HT",
    "a malformed body": "POST / HTTP/1.1\ntransfer-encoding: chunked\n\n2\nabNONSENSE",
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("queued", [0, 2])
async def test_a_refusal_takes_no_other_requests_answer(server: _Server, refused: str, queued: int) -> None:
    async with connected(server) as client:
        await client.say("GET /late HTTP/1.1\n\n" + "GET /3 HTTP/1.1\n\n" * queued + refused)
        assert await client.answer() == (200, b"0 bytes")
        for _ in range(queued):
            assert await client.answer() == (200, b"xxx")
        await client.until_hung_up()


@pytest.mark.parametrize("path", ["", "deaf"])
async def test_a_malformed_body_is_refused_unless_it_is_answered(server: _Server, path: str) -> None:
    async with connected(server) as client:
        await client.say(f"POST /{path} HTTP/1.1\ntransfer-encoding: chunked\n\n2\nab\n")
        if path == "deaf":
            assert await client.answer() == (200, b"0 bytes")
        await client.say("NONSENSE\n")
        if path != "deaf":
            status, body = await client.answer()
            assert (status, json.loads(body)["code"]) == (400, "malformed-request")
        await client.until_hung_up()


UPGRADE = "connection: Upgrade, HTTP2-Settings\nupgrade: h2c\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\n"

BODIES = {
    "none": ("", 0),
    "of a length": ("content-length: 20\n\nGET /3 HTTP/1.1\n\n!", 20),
    "in chunks": ("transfer-encoding: chunked\n\n5\nGET /\n2\nab\n0\n", 7),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("at_once", [True, False])
async def test_an_upgrade_is_ignored_and_the_body_is_the_requests(
    server: _Server, body: tuple[str, int], at_once: bool, caplog: pytest.LogCaptureFixture
) -> None:
    sent, size = body
    requests = f"POST / HTTP/1.1\n{UPGRADE}{sent}" + ("" if "length" in sent else "\n")
    requests = requests * 2 + "GET /5 HTTP/1.1\n\n"
    async with connected(server) as client:
        for piece in [requests] if at_once else requests:
            await client.say(piece)
        for _ in range(2):
            assert await client.answer() == (200, b"%d bytes" % size)
        assert await client.answer() == (200, b"xxxxx")
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


async def test_an_upgrade_on_a_connection_that_ends_has_its_body_too(server: _Server) -> None:
    async with connected(server) as client:
        await client.say("POST / HTTP/1.1\nconnection: close, upgrade\nupgrade: x\ncontent-length: 2\n\nab")
        assert await client.answer() == (200, b"2 bytes")
        assert await nobody_connected(server)


async def test_connect_is_refused(server: _Server) -> None:
    async with connected(server) as client:
        await client.say(f"CONNECT example.org:80 HTTP/1.1\n{UPGRADE}\nGET /3 HTTP/1.1\n\n")
        assert (await client.answer())[0] == 400
        assert await nobody_connected(server)


@pytest.mark.parametrize("size", [40_000, 1_000_000])
@pytest.mark.parametrize("after", ["", "connection: close\n"])
async def test_who_does_not_read_is_let_go(server: _Server, size: int, after: str) -> None:
    server.config.timeout_keep_alive = 0  # the time until an idle connection is closed is not what is tried here
    async with connected(server) as client:
        await client.say(f"GET /{size} HTTP/1.1\n{after}\n")
        await asyncio.sleep(PATIENCE / 3)
        assert server.server_state.connections
        assert await nobody_connected(server)


async def test_who_leaves_the_last_bytes_is_let_go(server: _Server) -> None:
    async with connected(server) as client:
        await client.say("GET /1000000 HTTP/1.1\nconnection: close\n\n")
        await client.reader.readuntil(b"\r\n\r\n")
        await client.reader.readexactly(1_000_000 - 24_000)
        await asyncio.sleep(PATIENCE / 3)
        assert server.server_state.connections
        assert await nobody_connected(server)


async def test_who_reads_slowly_gets_everything(server: _Server) -> None:
    async with connected(server) as client:
        await client.say("GET /600000 HTTP/1.1\n\n")
        await client.reader.readuntil(b"\r\n\r\n")
        for _ in range(150):
            await client.reader.readexactly(4000)
            await asyncio.sleep(PATIENCE / 30)
        assert time.monotonic() - client.began > PATIENCE * 3


async def test_clocks_are_for_clients_only(server: _Server) -> None:
    async with connected(server) as client:
        await client.say("POST /late HTTP/1.1\ncontent-length: 2\n\nab")
        assert await client.answer() == (200, b"2 bytes")
        assert time.monotonic() - client.began > PATIENCE * 2


async def test_the_gateway_refuses_with_problems(settings: Settings) -> None:
    async with serve_gateway(settings) as gateway:
        answer = await gateway.client().get("/healthz", headers={"x": "x" * 70_000})
        assert (answer.status_code, answer.json()["code"]) == (431, "headers-too-large")
        assert answer.headers["content-type"] == "application/problem+json"


async def test_the_command_serves_so_too(settings: Settings) -> None:
    command = [sys.executable, "-m", "gateway.cli", "serve", "--port", "0"]
    named = {"GATEWAY_PERSONAS": str(settings.personas), "GATEWAY_DATA_DIR": str(settings.data_dir)}
    pipe = asyncio.subprocess.PIPE
    serving = await asyncio.create_subprocess_exec(*command, env={**os.environ, **named}, stdout=pipe)
    try:
        assert serving.stdout is not None
        url = (await asyncio.wait_for(serving.stdout.readline(), 30)).split()[4].decode()
        async with httpx.AsyncClient(base_url=url, transport=httpx.AsyncHTTPTransport(retries=5)) as client:
            assert (await client.get("/healthz", headers={"x": "x" * 70_000})).status_code == 431
    finally:
        serving.kill()
        await serving.communicate()


async def test_a_client_that_leaves_early_is_no_error_of_ours(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve_gateway(settings) as gateway:
        host, port = gateway.url.removeprefix("http://").split(":")
        client = Client(*await asyncio.open_connection(host, int(port)))
        await client.say(f"POST /api/auth/login HTTP/1.1\nhost: {host}\ncontent-type: application/json\n")
        await client.say("content-length: 100\n\nabc")
        assert (await client.answer())[0] == 408
        client.writer.close()
        await asyncio.sleep(0.05)
        assert [record for record in caplog.records if record.levelname == "ERROR"] == []
