import asyncio
import socket
import ssl
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from certificates import self_signed
from waiting import until

from providers.errors import ProtocolError, ProviderError, UpstreamTimeout, UpstreamUnavailable
from providers.scripted.faults import FAULTS
from providers.scripted.script import FOREVER, Script
from providers.scripted.server import ScriptedUpstream
from providers.upstream.clocks import Clocks
from providers.upstream.transport import MAX_ERROR_BODY, Response, Transport, translated

pytestmark = pytest.mark.anyio

CANARY = "sk-canary-5f1d7c"
HEADERS = {"authorization": f"Bearer {CANARY}", "content-type": "application/json"}
CLOCKS = Clocks()
BODY = b'{"model": "any", "stream": true, "messages": [{"role": "user", "content": "Hi"}]}'


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = Transport()
    await transport.start()
    yield transport
    await transport.aclose()


async def ask(transport: Transport, upstream: ScriptedUpstream, clocks: Clocks = CLOCKS) -> Response:
    return await transport.post(f"{upstream.base_url}/chat/completions", HEADERS, BODY, clocks)


async def reads(response: Response) -> list[bytes]:
    found = []
    while data := await response.read():
        found.append(data)
    response.close()
    return found


async def sent(upstream: ScriptedUpstream) -> None:
    """Wait until the answer has been sent, and has arrived."""
    await until(lambda: upstream.requests and upstream.requests[0].ended is not None)
    await asyncio.sleep(0.1)


async def test_a_read_gives_whatever_has_arrived(transport: Transport, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(Script(body="one two three", split=4, split_gap=0.2))
    response = await ask(transport, scripted_upstream)
    found = await reads(response)
    assert (response.status, response.headers["content-type"]) == (200, "text/event-stream")
    assert b"".join(found) == b"one two three"
    assert len(found) > 1


async def test_all_that_piled_up_is_one_read(transport: Transport, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(Script(body="one two three", split=4))
    response = await ask(transport, scripted_upstream)
    await sent(scripted_upstream)
    assert await reads(response) == [b"one two three"]


async def test_nothing_compressed_is_asked_for_and_no_cookie_is_kept(
    transport: Transport, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.enqueue(Script(reply="Hi", headers={"set-cookie": "a=b; Path=/"}))
    await reads(await ask(transport, scripted_upstream))
    await reads(await ask(transport, scripted_upstream))
    for request in scripted_upstream.requests:
        assert request.headers["accept-encoding"] == "identity"
        assert "cookie" not in request.headers
    assert len(scripted_upstream.requests) == 2


async def test_a_redirect_is_an_answer_and_the_key_stays(
    transport: Transport, scripted_upstream: ScriptedUpstream
) -> None:
    with ScriptedUpstream() as elsewhere:
        location = {"location": f"{elsewhere.base_url}/chat/completions"}
        scripted_upstream.enqueue(msgspec.structs.replace(FAULTS["redirect"], headers=location))
        response = await ask(transport, scripted_upstream)
        response.close()
        assert response.status == 307
        assert not elsewhere.requests


async def test_proxies_of_the_environment_are_ignored(
    transport: Transport, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    scripted_upstream.enqueue(Script(body="through"))
    assert await reads(await ask(transport, scripted_upstream)) == [b"through"]


async def test_a_connection_serves_again_after_a_whole_response(
    transport: Transport, scripted_upstream: ScriptedUpstream
) -> None:
    for _ in range(3):
        await reads(await ask(transport, scripted_upstream))
    assert scripted_upstream.open_connections == 1


async def test_closing_hangs_up_at_once(transport: Transport, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(FAULTS["silent-mid-stream"])
    response = await ask(transport, scripted_upstream)
    await response.read()
    response.close()
    await until(lambda: scripted_upstream.requests[0].abandoned)
    await until(lambda: scripted_upstream.open_connections == 0)


async def test_an_error_body_is_read_up_to_its_cap(transport: Transport, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(Script(status=500, body="x" * 3 * MAX_ERROR_BODY))
    response = await ask(transport, scripted_upstream)
    assert len(await response.read_error()) == MAX_ERROR_BODY
    response.close()


async def test_an_error_body_that_breaks_off_is_what_arrived_of_it(
    transport: Transport, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.enqueue(Script(status=500, body="all of it", cut_at=3, ending="close"))
    response = await ask(transport, scripted_upstream)
    assert await response.read_error() == b"all"
    response.close()


@pytest.mark.parametrize("ending", ["reset", "close"])
async def test_what_arrived_before_a_break_is_kept_for_a_late_reader(
    transport: Transport, scripted_upstream: ScriptedUpstream, ending: str
) -> None:
    scripted_upstream.enqueue(msgspec.structs.replace(Script(body="kept"), ending=ending))
    response = await ask(transport, scripted_upstream)
    await sent(scripted_upstream)
    assert await response.read() == b"kept"
    with pytest.raises(UpstreamUnavailable):
        await response.read()
    response.close()


async def test_silence_before_the_headers_runs_into_the_first_token_clock(
    transport: Transport, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.enqueue(Script(first_after=FOREVER))
    with pytest.raises(UpstreamTimeout, match=r"first token clock \(0.3 s\)"):
        await ask(transport, scripted_upstream, Clocks(first_token=0.3))
    await until(lambda: scripted_upstream.requests[0].abandoned)


async def test_the_total_ends_a_wait_for_headers_too(transport: Transport, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(Script(first_after=FOREVER))
    end = asyncio.get_running_loop().time() + 0.05
    with pytest.raises(UpstreamTimeout, match="total clock") as caught:
        await transport.post(f"{scripted_upstream.base_url}/chat/completions", HEADERS, BODY, CLOCKS, end=end)
    assert not caught.value.retryable


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port whose queue of connections is full, so that another one is never made."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = []
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(address)
            waiting.append(one)
        yield address[1]
        for one in waiting:
            one.close()


async def test_a_connection_that_is_never_made_runs_into_the_connect_clock(
    transport: Transport, deaf_port: int
) -> None:
    with pytest.raises(UpstreamTimeout, match=r"connect clock \(0.2 s\)"):
        await transport.post(f"http://127.0.0.1:{deaf_port}/", HEADERS, BODY, Clocks(connect=0.2, first_token=5))


async def test_no_error_carries_the_key_or_the_address(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(UpstreamUnavailable) as caught:
        await transport.post(f"http://127.0.0.1:{port}/", HEADERS, BODY, CLOCKS)
    told = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert CANARY not in told
    assert str(port) not in told
    assert caught.value.__context__ is None  # aiohttp's exception holds the request, and the request the key


async def test_an_untrusted_server_never_sees_the_key(transport: Transport, tmp_path: Path) -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read())
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(UpstreamUnavailable, match="TLS") as caught:
            await transport.post(url, HEADERS, BODY, CLOCKS)
        assert not caught.value.retryable
        assert b"".join(seen) == b""


async def test_what_is_not_http_breaks_the_protocol(transport: Transport) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        with pytest.raises(ProtocolError, match="not HTTP"):
            await transport.post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", HEADERS, BODY, CLOCKS)


def all_subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(all_subclasses(below) for below in kind.__subclasses__()))


@pytest.mark.parametrize("kind", sorted(all_subclasses(aiohttp.ClientError), key=str))
async def test_every_exception_of_the_client_has_a_sentence_of_ours(kind: type[Exception]) -> None:
    error = kind.__new__(kind, CANARY)
    error.args = (CANARY,)
    meant = translated(error)
    assert type(meant) is not ProviderError
    assert CANARY not in str(meant)


async def test_a_transport_that_was_not_started_says_so(scripted_upstream: ScriptedUpstream) -> None:
    with pytest.raises(RuntimeError, match="not started"):
        await ask(Transport(), scripted_upstream)
