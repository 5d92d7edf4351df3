import inspect
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import msgspec
import pytest
from click.testing import CliRunner

from gateway.cli import fake_upstream
from providers.errors import (
    ContextTooLong,
    CredentialsRefused,
    Overloaded,
    ProtocolError,
    ProviderError,
    RateLimited,
    ResponseTooLarge,
    SpendLimitReached,
    UpstreamUnavailable,
)
from providers.events import (
    Event,
    Failed,
    Finished,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReported,
)
from providers.messages import Message, Role
from providers.models import Model, ModelRequest, ProviderKind
from providers.scripted.faults import FAULTS
from providers.scripted.script import Figures, Script, ToolCall, script_from
from providers.scripted.server import ScriptedUpstream
from providers.wires.anthropic import AnthropicWire
from providers.wires.openai import OpenAIWire
from providers.wires.wire import Wire

WIRES: dict[str, Wire] = {"openai": OpenAIWire(ProviderKind.openai), "anthropic": AnthropicWire()}
TALK = "The quick brown fox jumps over the lazy dog."


class Asker:
    """Asks the scripted upstream over one of the wires, and reads the answer with that wire's reader."""

    def __init__(self, upstream: ScriptedUpstream, wire: str, client: httpx.Client) -> None:
        self.upstream = upstream
        self.wire = WIRES[wire]
        self.url = (upstream.base_url if wire == "openai" else upstream.url) + self.wire.path
        self.client = client

    def request(self, model: str = "scripted", said: str = "Hi") -> tuple[bytes, dict[str, str]]:
        declared = Model(id="m", provider="p", name=model, window=8000, max_output=1000)
        request = ModelRequest(model=declared, messages=(Message(Role.user, said),), max_output_tokens=50)
        return self.wire.request(request).body, self.wire.headers("sk-test")

    def ask(self, *scripts: Script | str, model: str = "scripted", said: str = "Hi") -> list[Event]:
        """The events of the answer; `Failed` stands for what a response of another status means."""
        self.upstream.enqueue(*scripts)
        body, headers = self.request(model, said)
        with self.client.stream("POST", self.url, content=body, headers=headers) as response:
            if response.status_code != 200:
                return [Failed(self.wire.error(response.status_code, response.headers, response.read()))]
            reader = self.wire.reader()
            events = [event for read in response.iter_raw() for event in reader.feed(read)]
            return events + reader.close()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, verify=False, timeout=5) as client:
        yield client


@pytest.fixture(params=WIRES)
def asker(request: pytest.FixtureRequest, scripted_upstream: ScriptedUpstream, client: httpx.Client) -> Asker:
    return Asker(scripted_upstream, request.param, client)


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def finish_of(events: list[Event]) -> FinishReason | None:
    return next((event.reason for event in events if isinstance(event, Finished)), None)


def usage_of(events: list[Event]) -> list[Usage]:
    return [event.usage for event in events if isinstance(event, UsageReported)]


def error_of(events: list[Event]) -> ProviderError | None:
    return events[-1].error if events and isinstance(events[-1], Failed) else None


def wait_for(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 2
    while not condition():
        assert time.monotonic() < end, "it did not come to pass within two seconds"
        time.sleep(0.005)


# Replies.


def test_without_a_script_it_quotes_the_last_message(asker: Asker) -> None:
    events = asker.ask(said="Is anybody there?")
    assert text_of(events) == "Hello from the scripted upstream! You said: Is anybody there?"
    assert finish_of(events) is FinishReason.stop


def test_scripts_are_played_in_order_and_then_the_default(asker: Asker) -> None:
    asker.upstream.default = Script(reply="Nothing more.")
    asker.upstream.enqueue("One", "Two")
    assert [text_of(asker.ask()) for _ in range(4)] == ["One", "Two", "Nothing more.", "Nothing more."]


def test_a_full_reply_on_either_wire(asker: Asker) -> None:
    script = Script(
        reply=("Hé", "llo"),
        reasoning=("Hm",),
        tool_calls=(ToolCall("f", ('{"a"', ":1}"), "c1"), ToolCall("g", id="c2")),
        finish="tool_calls",
        usage=Figures(input=20, output=5, cached=12),
    )
    events = asker.ask(script)
    assert [event for event in events if not isinstance(event, UsageReported | Finished)] == [
        ReasoningDelta("Hm"),
        TextDelta("Hé"),
        TextDelta("llo"),
        ToolCallDelta(0, "", "c1", "f"),
        ToolCallDelta(0, '{"a"'),
        ToolCallDelta(0, ":1}"),
        ToolCallDelta(1, "", "c2", "g"),
        ToolCallDelta(1, "{}"),
    ]
    assert usage_of(events) == [Usage(input_tokens=20, output_tokens=5, cache_read_tokens=12)]
    assert finish_of(events) is FinishReason.tool_calls


def test_a_model_named_for_its_shape_is_sent_so(asker: Asker) -> None:
    begun = time.monotonic()
    assert text_of(asker.ask(model="fake-3-0-0")) == "token " * 3
    assert time.monotonic() - begun < 0.1
    assert text_of(asker.ask(model="fake-5-60-20")) == "token " * 5
    assert time.monotonic() - begun > 0.06 + 4 * 0.02


def test_usage_comes_on_the_openai_wire_only_when_it_was_asked_for(
    scripted_upstream: ScriptedUpstream, client: httpx.Client
) -> None:
    body = {"model": "m", "stream": True, "messages": []}
    assert "usage" not in client.post(f"{scripted_upstream.base_url}/chat/completions", json=body).text


def test_gaps_are_kept(asker: Asker) -> None:
    begun = time.monotonic()
    asker.ask(Script(reply=("a", "b", "c"), gap=0.03, first_after=0.05))
    assert 0.05 + 2 * 0.03 < time.monotonic() - begun < 0.05 + 2 * 0.03 + 0.1


# Faults.


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("rate-limited", RateLimited),
        ("out-of-quota", SpendLimitReached),
        ("payment-required", SpendLimitReached),
        ("wrong-key", CredentialsRefused),
        ("context-too-long", ContextTooLong),
        ("bad-gateway-html", UpstreamUnavailable),
        ("overloaded", Overloaded),
        ("redirect", ProtocolError),
        ("no-content", ProtocolError),
        ("html-for-stream", ProtocolError),
        ("json-for-stream", ProtocolError),
    ],
)
def test_refusals(asker: Asker, fault: str, kind: type[ProviderError]) -> None:
    assert [type(error_of(asker.ask(FAULTS[fault])))] == [kind]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("error-event", Overloaded),
        ("malformed-json", ProtocolError),
        ("wrong-types", ProtocolError),
        ("huge-line", ResponseTooLarge),
        ("tiny-events", ResponseTooLarge),
    ],
)
def test_breaks_after_the_text(asker: Asker, fault: str, kind: type[ProviderError]) -> None:
    events = asker.ask(FAULTS[fault])
    assert text_of(events) == TALK
    assert type(error_of(events)) is kind


@pytest.mark.parametrize(
    "fault", ["without-done", "without-last-newline", "crlf", "carriage-returns", "byte-order-mark"]
)
def test_odd_streams_are_whole(asker: Asker, fault: str) -> None:
    events = asker.ask(FAULTS[fault])
    assert (text_of(events), finish_of(events), len(usage_of(events))) == (TALK, FinishReason.stop, 1)


def test_the_last_line_can_lack_its_line_break(asker: Asker) -> None:
    asker.upstream.enqueue(FAULTS["without-last-newline"], FAULTS["without-done"])
    body, headers = asker.request()
    answers = [asker.client.post(asker.url, content=body, headers=headers).content for _ in range(2)]
    assert [answer.endswith(b"\n") for answer in answers] == [False, True]


@pytest.mark.parametrize(("fault", "text"), [("cut", "The quick "), ("without-finish", TALK), ("empty", "")])
def test_streams_that_end_too_early_say_no_finish(asker: Asker, fault: str, text: str) -> None:
    events = asker.ask(FAULTS[fault])
    assert (text_of(events), finish_of(events), error_of(events)) == (text, None, None)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("invalid-utf8", "caf\ufffd au lait"),
        ("nul", "a\ufffdb"),
        ("lone-surrogate", "a\ufffdb"),
        ("bytewise", "naïve 日本語 🙂"),
        ("role-only", ""),
        ("finish-only", ""),
    ],
)
def test_odd_texts(asker: Asker, fault: str, text: str) -> None:
    events = asker.ask(FAULTS[fault])
    assert (text_of(events), error_of(events)) == (text, None)


@pytest.mark.parametrize(("fault", "times"), [("usage-missing", 0), ("usage-negative", 0), ("usage-twice", 2)])
def test_usage_faults(asker: Asker, fault: str, times: int) -> None:
    events = asker.ask(FAULTS[fault])
    assert (len(usage_of(events)), finish_of(events)) == (times, FinishReason.stop)


def test_an_explicit_zero_is_told(asker: Asker) -> None:
    assert usage_of(asker.ask(FAULTS["usage-zero"])) == [Usage(0, 0)]


@pytest.mark.parametrize("at", [0, 1, 7, 150, 600])
def test_a_reset_comes_at_its_byte(asker: Asker, at: int) -> None:
    asker.upstream.enqueue(msgspec.structs.replace(FAULTS["reset"], cut_at=at))
    body, headers = asker.request()
    received = []
    with (
        asker.client.stream("POST", asker.url, content=body, headers=headers) as response,
        pytest.raises(httpx.ReadError),
    ):
        received.extend(response.iter_raw())
    assert len(b"".join(received)) == at


def test_a_connection_closed_in_mid_body_is_not_an_end(asker: Asker) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        asker.ask(FAULTS["closed-mid-body"])


@pytest.mark.parametrize("fault", ["silent-before-headers", "silent-mid-stream", "slow-bytes"])
def test_silence_lasts_until_the_client_has_had_enough(asker: Asker, fault: str) -> None:
    asker.client.timeout = httpx.Timeout(0.1)
    with pytest.raises(httpx.ReadTimeout):
        asker.ask(FAULTS[fault])
    wait_for(lambda: asker.upstream.running == 0)
    assert asker.upstream.requests[-1].abandoned


def test_comments_only_never_end_and_never_say_anything(asker: Asker) -> None:
    asker.upstream.enqueue(FAULTS["comments-only"])
    body, headers = asker.request()
    reader = asker.wire.reader()
    with asker.client.stream("POST", asker.url, content=body, headers=headers) as response:
        reads = response.iter_raw()
        assert [reader.feed(next(reads)) for _ in range(3)] == [[], [], []]
        assert asker.upstream.running == 1
    wait_for(lambda: asker.upstream.requests[-1].abandoned)


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_every_fault_is_a_script_that_survives_being_changed(fault: str) -> None:
    changed = script_from({"fault": fault, "gap": 0.5}, FAULTS)
    assert changed == msgspec.structs.replace(FAULTS[fault], gap=0.5)


# What is recorded.


def test_requests_are_recorded(asker: Asker) -> None:
    asker.ask("Hello", said="Good evening")
    (request,) = asker.upstream.requests
    assert (request.method, request.path) == ("POST", httpx.URL(asker.url).path)
    assert request.json["messages"] == [{"role": "user", "content": "Good evening"}]
    assert (request.key, request.headers["content-type"]) == ("sk-test", "application/json")
    wait_for(lambda: request.ended is not None)
    assert request.ended is not None
    assert request.ended >= request.received
    assert not request.abandoned


def test_a_client_that_leaves_is_seen_at_once(asker: Asker) -> None:
    asker.upstream.enqueue(Script(reply=("a",) * 1000, gap=0.01))
    body, headers = asker.request()
    with asker.client.stream("POST", asker.url, content=body, headers=headers) as response:
        reads = response.iter_raw()  # kept: httpx hangs up when the iterator is collected
        next(reads)
        assert (asker.upstream.open_connections, asker.upstream.running) == (1, 1)
    left = time.monotonic()
    wait_for(lambda: asker.upstream.open_connections == 0 and asker.upstream.running == 0)
    (request,) = asker.upstream.requests
    assert request.abandoned
    assert request.ended is not None
    assert request.ended - left < 0.2


def test_a_client_that_leaves_before_it_was_answered_is_seen(scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(FAULTS["silent-before-headers"])
    address = httpx.URL(scripted_upstream.url)
    with socket.create_connection((address.host, address.port or 0), timeout=2) as connection:
        connection.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
    wait_for(lambda: scripted_upstream.requests and scripted_upstream.requests[0].abandoned)


def test_connections_are_kept_for_the_next_request(asker: Asker) -> None:
    for _ in range(3):
        asker.ask("Hello")
    assert (asker.upstream.open_connections, len(asker.upstream.requests)) == (1, 3)


def test_the_key_is_echoed_where_a_script_says_so(asker: Asker) -> None:
    asker.upstream.enqueue(FAULTS["key-echoed"])
    body, headers = asker.request()
    assert "sk-test" in asker.client.post(asker.url, content=body, headers=headers).text


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model":5}'])
def test_a_body_that_is_no_request_is_refused(asker: Asker, body: bytes) -> None:
    response = asker.client.post(asker.url, content=body)
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


def test_other_paths(scripted_upstream: ScriptedUpstream, client: httpx.Client) -> None:
    url = scripted_upstream.url
    assert client.get(f"{url}/v1/models").json()["data"][0]["id"] == "scripted"
    assert client.post(f"{url}/v1/messages/count_tokens", json={"messages": []}).json()["input_tokens"] > 0
    assert client.get(f"{url}/v2/nothing").status_code == 404
    assert client.get(f"{url}/v1/messages").status_code == 404


def test_what_is_not_http_is_hung_up_on(scripted_upstream: ScriptedUpstream) -> None:
    address = httpx.URL(scripted_upstream.url)
    with socket.create_connection((address.host, address.port or 0), timeout=2) as connection:
        connection.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_a_stopped_upstream_can_no_longer_be_reached(client: httpx.Client) -> None:
    with ScriptedUpstream() as upstream:
        upstream.enqueue(FAULTS["silent-before-headers"])
        client.get(f"{upstream.url}/v1/models")
    with pytest.raises(httpx.TransportError):
        client.get(f"{upstream.url}/v1/models")


# Scripts in YAML.


def test_a_script_file_holds_texts_fields_and_faults(tmp_path: Path) -> None:
    path = tmp_path / "scripts.yaml"
    path.write_text('- Hello there\n- {reply: [a, b], gap: 0.1}\n- {fault: cut, cut_at: 30}\n- {reply: "caf\\uDCFF"}\n')
    assert fake_upstream.read_scripts(path) == [
        Script(reply="Hello there"),
        Script(reply=("a", "b"), gap=0.1),
        msgspec.structs.replace(FAULTS["cut"], cut_at=30),
        Script(reply="caf\udcff"),
    ]


@pytest.mark.parametrize(
    ("scripts", "sentence"),
    [
        ("- {fault: nope}", "There is no fault 'nope'; there are bad-gateway-html"),
        ("- {replyy: Hi}", "unknown field `replyy`"),
        ("- 5", "A script is a text or a mapping, not 5."),
        ("reply: Hi", "A script file holds a list."),
        ("- [", "while parsing"),
    ],
)
def test_a_wrong_script_file_is_refused_with_a_sentence(tmp_path: Path, scripts: str, sentence: str) -> None:
    path = tmp_path / "scripts.yaml"
    path.write_text(scripts)
    result = CliRunner().invoke(fake_upstream.command, ["--script", str(path)])
    assert result.exit_code == 1
    assert sentence in result.output


def test_the_command_serves_until_interrupted_and_repeats_its_scripts(
    tmp_path: Path, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scripts.yaml"
    path.write_text("- One\n- Two\n")
    started: list[ScriptedUpstream] = []
    monkeypatch.setattr(
        ScriptedUpstream, "start", lambda self, start=ScriptedUpstream.start: (start(self), started.append(self))
    )
    heard = []

    def asks_then_interrupts(seconds: float) -> None:
        body = {"model": "m", "messages": []}
        for _ in range(3):
            answer = client.post(f"{started[0].base_url}/chat/completions", json=body).json()
            heard.append(answer["choices"][0]["message"]["content"])
        raise KeyboardInterrupt

    monkeypatch.setattr(fake_upstream.time, "sleep", asks_then_interrupts)
    result = CliRunner().invoke(fake_upstream.command, ["--port", "0", "--script", str(path)])
    assert (result.exit_code, heard) == (0, ["One", "Two", "One"])
    assert started[0].base_url in result.output


def test_a_taken_port_is_told(scripted_upstream: ScriptedUpstream) -> None:
    port = str(httpx.URL(scripted_upstream.url).port)
    result = CliRunner().invoke(fake_upstream.command, ["--port", port])
    assert result.exit_code == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in result.output


# The documentation.

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()


def test_the_documented_tests_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    names: dict[str, Any] = {}
    for example in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(example, names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    for test in tests:
        with ScriptedUpstream() as upstream:
            anyio.run(test, upstream) if inspect.iscoroutinefunction(test) else test(upstream)
    assert len(tests) == 4


def test_the_documented_scripts_are_scripts(tmp_path: Path) -> None:
    path = tmp_path / "scripts.yaml"
    path.write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[-1])
    assert len(fake_upstream.read_scripts(path)) == 4


def test_every_fault_is_documented() -> None:
    assert [name for name in FAULTS if f"`{name}`" not in PAGE] == []
