"""A provider that no connection can be made to: its name, its certificate or its protocol is not what it should be."""

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from builders import serve_gateway
from certificates import self_signed
from turn_streams import ended_well, whole

from gateway.settings import Settings
from providers.scripted.server import ScriptedUpstream

pytestmark = pytest.mark.anyio

KEY = "sk-only-for-tests-0123456789"

PERSONAS = """\
version: 1
providers:
  away: {{kind: openai-compatible, base_url: "{away}", key_env: TEST_AWAY_KEY}}
  house: {{kind: openai-compatible, base_url: "{house}"}}
models:
  away: {{provider: away, name: away, window: 8000, max_output: 1000}}
  spare: {{provider: house, name: spare, window: 8000, max_output: 1000}}
defaults: {{model: away, access: {{roles: [member]}}}}
personas:
  alone: {{name: Alone, system: "You are alone."}}
  backed: {{name: Backed, system: "You are backed.", fallbacks: [spare]}}
"""


class Quiet(HTTPServer):
    """Serves in a thread of its own, and says nothing of what it was told."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a handshake that the client broke off


class Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[int]:
    server = Quiet(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def unknown_host(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[str]:
    resolve = socket.getaddrinfo

    def resolver(host: Any, *args: Any, **options: Any) -> Any:
        if host == "provider.invalid":  # told here, since a machine without a network may wait for its resolver
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **options)

    patch.setattr(socket, "getaddrinfo", resolver)
    yield "https://provider.invalid/v1"


@contextmanager
def untrusted_certificate(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(folder))
    with serving(context) as port:
        yield f"https://localhost:{port}/v1"


@contextmanager
def no_tls(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving() as port:
        yield f"https://127.0.0.1:{port}/v1"


class Case(msgspec.Struct, frozen=True):
    """How it cannot be reached, what is told, and how often it is tried again."""

    away: Callable[[Path, pytest.MonkeyPatch], Any]
    sentence: str
    retries: int


UNTRUSTED = "No trusted TLS connection to the provider's server could be made."

CASES = {
    "unknown host": Case(unknown_host, "The provider's host name cannot be resolved.", 2),
    "untrusted certificate": Case(untrusted_certificate, UNTRUSTED, 0),
    "no TLS": Case(no_tls, UNTRUSTED, 0),
}


@pytest.fixture
def database_address(new_database: Callable[[str], str]) -> str:
    return new_database("sqlite")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_it_is_told_in_a_sentence_and_another_model_answers(
    case: Case,
    settings: Settings,
    scripted_upstream: ScriptedUpstream,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("providers.upstream.retries.sleep", sleep)
    monkeypatch.setenv("TEST_AWAY_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with case.away(settings.data_dir, monkeypatch) as address:
        settings.personas.write_text(PERSONAS.format(away=address, house=scripted_upstream.base_url))
        async with serve_gateway(settings) as gateway:
            ada = await gateway.person("ada")
            async with ada.stream(await ada.chat("alone")) as source:
                failed = await ended_well(ada, await whole(source))
            tried_again = len(waits)
            scripted_upstream.enqueue("In its place.")
            backed = await ada.turn(await ada.chat("backed"))
    assert (failed["state"], failed["error"]) == (
        "failed",
        {"code": "upstream-unavailable", "message": case.sentence},
    )
    assert tried_again == case.retries
    assert (backed["state"], backed["reply"]["content"]) == ("completed", "In its place.")
    assert backed["notices"][-1] == "away did not answer (upstream-unavailable), so another model was asked."
    assert [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info] == []
    assert KEY not in caplog.text + str(failed) + str(backed)
    assert [request.key for request in scripted_upstream.requests] == [""]
