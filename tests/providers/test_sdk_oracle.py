"""The official packages as the measure of our wires: the same request, the same stream, read the same way."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
import respx
from respx.mocks import HTTPCoreMocker

from providers.events import Finished, FinishReason, ReasoningDelta, TextDelta, ToolCallDelta, UsageReported
from providers.messages import Message, Role
from providers.models import Model, ModelRequest, Params, ProviderKind
from providers.scripted.faults import FAULTS
from providers.scripted.script import Figures, Script, ToolCall
from providers.scripted.server import ScriptedUpstream
from providers.wires.anthropic import AnthropicWire
from providers.wires.openai import OpenAIWire
from providers.wires.wire import Wire

pytestmark = pytest.mark.anyio

LATER = "2026-10-21"
MESSAGES: list[Any] = [{"role": "user", "content": "Hi 日本"}, {"role": "assistant", "content": "Yes?"}]
MESSAGES.append({"role": "user", "content": "Tell me."})


class HTTPCore2Mocker(HTTPCoreMocker):
    """The SDKs speak through httpcore2, where plain respx sees nothing."""

    name = "httpcore2"
    targets = [target.replace("httpcore.", "httpcore2.", 1) for target in HTTPCoreMocker.targets]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_BASE_URL", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def upstream() -> Iterator[respx.MockRouter]:
    with respx.mock(using="httpcore2") as router:
        router.route().respond(400, json={"error": {"message": "enough was seen"}})
        yield router


def request(**params: Any) -> ModelRequest:
    messages = (Message(Role.system, "Be brief."), *(Message(Role(m["role"]), m["content"]) for m in MESSAGES))
    model = Model(id="m", provider="p", name="some-model", window=8000, max_output=1000)
    return ModelRequest(model=model, messages=messages, max_output_tokens=50, params=Params(**params))


def sent(router: respx.MockRouter, send: Callable[[], Any]) -> httpx.Request:
    with pytest.raises((openai.BadRequestError, anthropic.BadRequestError)):
        send()
    (call,) = router.calls
    return call.request


# The request: what the SDK puts on the wire is what ours puts there.


@pytest.mark.parametrize("kind", [ProviderKind.openai, ProviderKind.openai_compatible])
def test_the_body_of_a_chat_completion(upstream: respx.MockRouter, kind: ProviderKind) -> None:
    cap: dict[str, Any] = {"max_completion_tokens" if kind is ProviderKind.openai else "max_tokens": 50}
    with openai.OpenAI(api_key="sk-1", base_url="http://house.test/v1", max_retries=0) as client:
        theirs = sent(
            upstream,
            lambda: client.chat.completions.create(
                model="some-model",
                messages=[{"role": "system", "content": "Be brief."}, *MESSAGES],
                stream=True,
                stream_options={"include_usage": True},
                temperature=0.5,
                top_p=0.9,
                stop=["END"],
                seed=7,
                presence_penalty=0.1,
                frequency_penalty=0.2,
                reasoning_effort="low",
                logit_bias={"5": 1},
                **cap,
            ),
        )
    wire = OpenAIWire(kind)
    ours = wire.request(
        request(
            temperature=0.5,
            top_p=0.9,
            stop=("END",),
            seed=7,
            presence_penalty=0.1,
            frequency_penalty=0.2,
            reasoning_effort="low",
            extra={"logit_bias": {"5": 1}},
        )
    )
    assert json.loads(ours.body) == json.loads(theirs.content)
    assert ours.notices == ()
    assert str(theirs.url) == "http://house.test/v1" + wire.path
    headers = wire.headers("sk-1")
    assert (headers["authorization"], headers["content-type"]) == (
        theirs.headers["authorization"],
        theirs.headers["content-type"],
    )


@pytest.mark.parametrize("version", ["2023-06-01", LATER])
def test_the_body_of_messages(upstream: respx.MockRouter, version: str) -> None:
    sampling = {"temperature": 0.5, "top_p": 0.9} if version == "2023-06-01" else {}
    first = version == "2023-06-01"
    headers: dict[str, Any] = {"anthropic-version": version}
    if first:
        headers |= {"x-api-key": "sk-1", "authorization": anthropic.Omit()}
    with anthropic.Anthropic(
        api_key="sk-1", base_url="http://claude.test", max_retries=0, default_headers=headers
    ) as client:
        theirs = sent(
            upstream,
            lambda: client.messages.create(
                model="some-model",
                max_tokens=50,
                system="Be brief.",
                messages=MESSAGES,
                stop_sequences=["END"],
                output_config={"effort": "low"},
                stream=True,
                extra_body=sampling,
            ),
        )
    wire = AnthropicWire(version)
    ours = wire.request(request(temperature=0.5, top_p=0.9, stop=("END",), reasoning_effort="low"))
    assert json.loads(ours.body) == json.loads(theirs.content)
    assert len(ours.notices) == (0 if first else 2)
    assert str(theirs.url) == "http://claude.test" + wire.path
    for name in ("anthropic-version", "x-api-key", "authorization", "content-type"):
        assert wire.headers("sk-1").get(name) == theirs.headers.get(name)


def test_the_sdk_speaks_the_later_version_by_itself(upstream: respx.MockRouter) -> None:
    with anthropic.Anthropic(api_key="sk-1", base_url="http://claude.test", max_retries=0) as client:
        theirs = sent(upstream, lambda: client.messages.create(model="m", max_tokens=1, messages=MESSAGES))
    ours = AnthropicWire(theirs.headers["anthropic-version"]).headers("sk-1")
    assert (ours["anthropic-version"], ours["authorization"]) == (LATER, theirs.headers["authorization"])
    assert "x-api-key" not in theirs.headers


# The stream: what the SDK reads from the scripted upstream is what our reader reads.

SCRIPTS = {
    "plain": Script(reply="The quick brown fox", usage=Figures(input=20, output=4, cached=12)),
    "split": Script(reply=("naïve ", "日本語 ", "🙂"), split=3),
    "length": Script(reply="The quick", finish="length"),
    "tools": Script(
        reply="So:", tool_calls=(ToolCall("f", ('{"a"', ":1}")), ToolCall("g", id="c2")), finish="tool_calls"
    ),
    "crlf": FAULTS["crlf"],
    "cut": FAULTS["cut"],
}
HEARD = tuple[str, dict[int, tuple[str, str, str]], str | None, tuple[int, int, int] | None]
"""Text, tool calls (id, name, arguments), the finish reason, and tokens in, out and cached."""


def heard_by_us(url: str, wire: Wire) -> HEARD:
    text, calls, finish, usage = "", {}, None, None
    reader = wire.reader()
    body = wire.request(request()).body
    with httpx.stream("POST", url + wire.path, content=body, headers=wire.headers("sk-1"), trust_env=False) as response:
        events = [event for read in response.iter_raw() for event in reader.feed(read)] + reader.close()
    for event in events:
        if isinstance(event, TextDelta):
            text += event.text
        elif isinstance(event, ToolCallDelta):
            call_id, name, arguments = calls.get(event.index, (event.id, event.name, ""))
            calls[event.index] = (call_id, name, arguments + event.arguments)
        elif isinstance(event, Finished):
            finish = event.reason.value
        elif isinstance(event, UsageReported):
            usage = (event.usage.input_tokens, event.usage.output_tokens, event.usage.cache_read_tokens)
    return text, calls, finish, usage


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
async def test_the_openai_sdk_hears_what_we_hear(scripted_upstream: ScriptedUpstream, script: Script) -> None:
    scripted_upstream.enqueue(script, script)
    text, calls, finish, usage = "", {}, None, None
    async with openai.AsyncOpenAI(api_key="sk-1", base_url=scripted_upstream.base_url, max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="some-model",
            messages=[{"role": "system", "content": "Be brief."}, *MESSAGES],
            max_completion_tokens=50,
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
                for call in choice.delta.tool_calls or []:
                    call_id, name, arguments = calls.get(call.index, (call.id, call.function.name, ""))
                    calls[call.index] = (call_id, name, arguments + (call.function.arguments or ""))
                finish = choice.finish_reason or finish
            if chunk.usage:
                details = chunk.usage.prompt_tokens_details
                usage = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens, details.cached_tokens)
    assert heard_by_us(scripted_upstream.base_url, OpenAIWire(ProviderKind.openai)) == (text, calls, finish, usage)
    theirs, ours = scripted_upstream.requests
    assert ours.json == theirs.json


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
async def test_the_anthropic_sdk_hears_what_we_hear(scripted_upstream: ScriptedUpstream, script: Script) -> None:
    scripted_upstream.enqueue(script, script)
    text, finish, usage = "", None, None
    blocks: dict[int, tuple[str, str, str]] = {}
    start = None
    async with anthropic.AsyncAnthropic(api_key="sk-1", base_url=scripted_upstream.url, max_retries=0) as client:
        stream = await client.messages.create(
            model="some-model", max_tokens=50, system="Be brief.", messages=MESSAGES, stream=True
        )
        async for event in stream:
            if event.type == "message_start":
                start = event.message.usage
            elif event.type == "content_block_start" and event.content_block.type == "tool_use":
                blocks[event.index] = (event.content_block.id, event.content_block.name, "")
            elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                text += event.delta.text
            elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                call_id, name, arguments = blocks[event.index]
                blocks[event.index] = (call_id, name, arguments + event.delta.partial_json)
            elif event.type == "message_delta":
                finish = event.delta.stop_reason
                cached = start.cache_read_input_tokens
                usage = (start.input_tokens + cached, event.usage.output_tokens, cached)
    reasons = {None: None, "end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
    calls = dict(enumerate(blocks.values()))
    assert heard_by_us(scripted_upstream.url, AnthropicWire()) == (text, calls, reasons[finish], usage)
    theirs, ours = scripted_upstream.requests
    assert ours.json == theirs.json


async def test_thinking_is_heard_as_the_sdk_hears_it(scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.default = Script(reply="Yes.", reasoning=("Hm, ", "well."))
    async with anthropic.AsyncAnthropic(api_key="sk-1", base_url=scripted_upstream.url) as client:
        stream = await client.messages.create(model="m", max_tokens=50, messages=MESSAGES, stream=True)
        theirs = [
            e.delta.thinking async for e in stream if getattr(getattr(e, "delta", 0), "type", "") == "thinking_delta"
        ]
    wire = AnthropicWire()
    body = wire.request(request()).body
    answer = httpx.post(scripted_upstream.url + wire.path, content=body, headers=wire.headers("k"), trust_env=False)
    ours = [event.text for event in wire.reader().feed(answer.content) if isinstance(event, ReasoningDelta)]
    assert ours == theirs == ["Hm, ", "well."]


# The scripted upstream is one that the SDKs accept, whole and broken.


def test_the_sdks_take_whole_answers(scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.default = Script(reply="Hello there", finish="length", tool_calls=(ToolCall("f"),))
    with openai.OpenAI(api_key="sk-1", base_url=scripted_upstream.base_url) as client:
        completion = client.chat.completions.create(model="m", messages=MESSAGES)
        assert completion.choices[0].message.content == "Hello there"
        assert completion.choices[0].finish_reason == FinishReason.length
        assert completion.choices[0].message.tool_calls[0].function.name == "f"
        assert [model.id for model in client.models.list()] == ["scripted"]
    with anthropic.Anthropic(api_key="sk-1", base_url=scripted_upstream.url) as other:
        message = other.messages.create(model="m", max_tokens=50, messages=MESSAGES)
        assert [block.type for block in message.content] == ["text", "tool_use"]
        assert (message.content[0].text, message.stop_reason) == ("Hello there", "max_tokens")
        assert other.messages.count_tokens(model="m", messages=MESSAGES).input_tokens > 0


@pytest.mark.parametrize("fault", sorted(name for name in FAULTS if FAULTS[name].status >= 400))
def test_the_sdks_and_our_wires_agree_on_refusals(scripted_upstream: ScriptedUpstream, fault: str) -> None:
    scripted_upstream.enqueue(FAULTS[fault], FAULTS[fault])
    with openai.OpenAI(api_key="sk-1", base_url=scripted_upstream.base_url, max_retries=0) as client:
        with pytest.raises(openai.APIStatusError) as refused:
            client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        theirs = refused.value
        ours = OpenAIWire(ProviderKind.openai).error(
            theirs.status_code, theirs.response.headers, theirs.response.content
        )
        assert (ours.status, ours.provider_code, ours.request_id) == (
            theirs.status_code,
            theirs.code,
            theirs.request_id,
        )
    with anthropic.Anthropic(api_key="sk-1", base_url=scripted_upstream.url, max_retries=0) as other:
        with pytest.raises(anthropic.APIStatusError) as also_refused:
            other.messages.create(model="m", max_tokens=50, messages=MESSAGES, stream=True)
        response = also_refused.value.response
        our_error = AnthropicWire().error(response.status_code, response.headers, response.content)
        assert type(our_error) is type(ours)
        assert our_error.request_id == also_refused.value.request_id


def test_the_sdks_raise_where_our_readers_fail(scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.default = FAULTS["error-event"]
    with (
        openai.OpenAI(api_key="sk-1", base_url=scripted_upstream.base_url) as client,
        pytest.raises(openai.APIError, match="As scripted"),
    ):
        list(client.chat.completions.create(model="m", messages=MESSAGES, stream=True))
    with (
        anthropic.Anthropic(api_key="sk-1", base_url=scripted_upstream.url) as other,
        pytest.raises(anthropic.APIStatusError, match="overloaded_error"),
    ):
        list(other.messages.create(model="m", max_tokens=50, messages=MESSAGES, stream=True))
