"""A recognisable key is added, used, echoed and refused by its upstream; then it is nowhere but there."""

import asyncio
import io
import json
import logging
import sqlite3
import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import click
import httpx
import pytest
from builders import Gateway, Person, serve_gateway
from click.testing import CliRunner

from gateway.cli.keys import keys
from gateway.cli.providers import providers
from gateway.operations.observability import JSONFormatter, hide_in_logs
from gateway.settings import Settings
from providers.scripted.faults import FAULTS
from providers.scripted.script import Script
from providers.scripted.server import ScriptedUpstream

pytestmark = pytest.mark.anyio

MASTER = b64encode(b"a master key of thirty-two bytes").decode()
CANARIES = ('canary/1+5f1d7c"\\%41=q', "sk-canary-2-9e8b7a6c5d4e3f")

ECHO = (
    '{"error": {"message": "You sent {key}", "type": "invalid_request_error", "code": "bad {key}", "param": "{key}"}}'
)
ECHOES = {
    "refused, echoed": FAULTS["key-echoed"],
    "refused": FAULTS["wrong-key"],
    "redirected": FAULTS["redirect"],
    "reset": FAULTS["reset-at-once"],
    "bad request": Script(status=400, body=ECHO),
    "HTML": Script(status=500, body="<h1>{key}</h1>", content_type="text/html"),
    "error event": Script(body=f"data: {ECHO}\n\n", content_type="text/event-stream"),
    "no stream": Script(body="{key}", content_type="text/plain"),
    "no JSON": Script(body="data: {key}\n\n", content_type="text/event-stream"),
    "headers": Script(status=429, error="rate_limit_error", headers={"retry-after": "0", "x-request-id": CANARIES[1]}),
}

SAID = Script(reply=("Your key is canary", '/1+5f1d7c"', "\\%41=q, I think."), reasoning=("It is ", CANARIES[0]))
"""The first key in the words of a reply."""


def forms(secret: str) -> set[str]:
    """How a secret may be written down."""
    raw = secret.encode()
    inside = (b64encode(b"\0" * lead + raw).decode()[4:-4] for lead in (1, 2))  # base64 of something around it
    quoted = (json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe=""), quote(secret), quote_plus(secret))
    in_base64 = (encode(raw).decode().rstrip("=")[:-1] for encode in (b64encode, urlsafe_b64encode))
    return {secret, raw.hex(), raw.hex().upper(), *quoted, *in_base64, *inside}


class Heard(logging.Handler):
    """All that anybody but the upstream could have seen. Logs at every level, and without the filter that masks them:
    that one is the last resort."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        self.texts.append(("log", f"{record.getMessage()} {record.__dict__} {trace}"))

    async def note_response(self, response: httpx.Response) -> None:
        """Keep an answer as it came, headers, events and all."""
        await response.aread()
        self.texts.append(("http", f"{response.headers.raw!r} {response.text}"))

    def hits(self) -> set[tuple[str, str]]:
        """Where a secret stands, and how it is written there."""
        written = [form for secret in (*CANARIES, MASTER) for form in forms(secret)]
        return {(where, form) for where, text in self.texts for form in written if form in text}


@pytest.fixture
def database_address(new_database: Callable[[str], str]) -> str:
    return new_database("sqlite")


@pytest.fixture
def heard() -> Iterator[Heard]:
    heard, root = Heard(), logging.getLogger()
    level = root.level
    root.addHandler(heard)
    root.setLevel(logging.DEBUG)
    yield heard
    root.removeHandler(heard)
    root.setLevel(level)


@pytest.fixture
def sealed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a gateway and of the commands beside it; both are quick to look, and to try a key again."""
    for name, value in (
        ("DATABASE_URL", settings.database_url),
        ("DATA_DIR", str(settings.data_dir)),
        ("PERSONAS", str(settings.personas)),
        ("MASTER_KEY", MASTER),
    ):
        monkeypatch.setenv(f"GATEWAY_{name}", value)
    monkeypatch.chdir(settings.data_dir)
    monkeypatch.setattr("gateway.keys.provider_keys.LOOK_EVERY", 0.02)
    monkeypatch.setattr("providers.upstream.keys.CREDENTIALS_REST", 0.0)
    monkeypatch.setattr("providers.upstream.retries.sleep", lambda _: asyncio.sleep(0))
    return settings.model_copy(update={"master_key": Settings().master_key})


async def test_a_key_is_nowhere_but_at_its_upstream(
    sealed: Settings, heard: Heard, scripted_upstream: ScriptedUpstream
) -> None:
    async def command(group: click.Group, *words: str, said: str = "") -> str:
        result = await asyncio.to_thread(CliRunner().invoke, group, words, input=said)
        heard.texts.append(("command", result.output))
        return result.output

    async with serve_gateway(sealed) as gateway:
        ada = await _person(gateway, heard)
        await command(keys, "add", "house", said=CANARIES[0])
        for canary in (*CANARIES, CANARIES[0]):
            await command(keys, "add", "claude", said=canary)
        first = (await command(keys, "list")).split("\t")[0]
        await asyncio.sleep(0.2)
        turns = []
        for script in (None, *ECHOES.values()):
            scripted_upstream.default = script
            for persona in ("plain", "claude"):
                turns += await _ask_both_ways(ada, persona)
        scripted_upstream.default = SAID
        told = await _ask_both_ways(ada, "plain")
        assert {turn["reply"]["content"] for turn in told} == {"Your key is can***, I think."}
        turns += told
        assert {turn["state"] for turn in turns[:4]} == {"completed"}
        assert "failed" in {turn["state"] for turn in turns[4:]}
        assert {request.key for request in scripted_upstream.requests} == set(CANARIES)
        for turn in turns:
            for path in ("", "/events", "/context"):
                await ada.get(f"/api/turns/{turn['id']}{path}")
        for path in ("/api/me", "/api/me/export", "/api/chats", "/api/history", "/api/personas", "/api/nowhere"):
            await ada.get(path)
        for path in ("/metrics", "/readyz", "/openapi.json", "/"):
            await ada.get(path)
        for words in (["replace", first], ["rewrap"], ["list"], ["remove", first], ["add", "house", CANARIES[0]]):
            await command(keys, *words, said=CANARIES[1])
        await command(providers, "check")
    path = sealed.database_url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as database:
        dump = list(database.iterdump())
    database.close()
    heard.texts += [("dump", line) for line in dump]
    heard.texts += [
        ("file", file.read_bytes().decode("latin-1")) for file in sealed.data_dir.glob("*") if file.is_file()
    ]

    kinds = {where for where, _ in heard.texts}
    assert kinds == {"log", "http", "command", "dump", "file"}
    assert any("gwe1." in line for line in dump)
    assert heard.hits() == set()


async def test_the_search_finds_what_it_is_to_find() -> None:
    heard, script = Heard(), [form for secret in (*CANARIES, MASTER) for form in forms(secret)]
    for form in script:
        heard.texts = [("planted", f"before{form}after")]
        assert ("planted", form) in heard.hits()


@pytest.mark.parametrize("canary", [*CANARIES, MASTER])
def test_the_log_masks_a_live_secret_in_every_form(canary: str) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JSONFormatter())
    raw = canary.encode()
    leaks = (canary, quote(canary, safe=""), b64encode(raw).decode(), urlsafe_b64encode(raw).decode())
    hide_in_logs((*CANARIES, MASTER, "key"))
    try:
        for leak in leaks:
            record = logging.makeLogRecord(
                {"msg": f"before {leak} after", "fact": {"key": [leak]}, "levelname": "INFO"}
            )
            handler.emit(record)
    finally:
        hide_in_logs(())
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert len(lines) == 4
    for line in lines:
        assert line["message"].startswith("before ***")
        assert line["fact"]["key"][0].startswith("***")  # and "key", too short to be masked, is still to be read
    assert not any(form in written.getvalue() for form in forms(canary))


def test_a_secret_that_is_no_more_is_not_kept_for_the_log() -> None:
    hide_in_logs(["some-secret"])
    hide_in_logs([])
    record = logging.makeLogRecord({"msg": "some-secret", "levelname": "INFO"})
    assert json.loads(JSONFormatter().format(record))["message"] == "some-secret"


async def _person(gateway: Gateway, heard: Heard) -> Person:
    ada = await gateway.person("ada")
    ada.client.event_hooks["response"].append(heard.note_response)
    return ada


async def _ask_both_ways(person: Person, persona: str) -> list[dict[str, Any]]:
    """A turn that is waited for, and one that is streamed."""
    chat = await person.chat(persona)
    waited = await person.turn(chat)
    async with person.stream(chat) as events:
        told = [json.loads(event.data) async for event in events]
    return [waited, told[-1]]
