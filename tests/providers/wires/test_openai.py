import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from providers.models import Model, ModelRequest, Params, ProviderKind
from providers.wires.openai import OpenAIWire
from providers.wires.wire import MAX_LINE, MAX_RESPONSE

MODEL = Model(id="fast", provider="house", name="some-model", window=8000, max_output=1000)
ASKED = (Message(Role.system, "Be brief."), Message(Role.user, "Hi"))
STOP = FinishReason.stop


def body_of(kind: ProviderKind = ProviderKind.openai, model: Model = MODEL, **params: Any) -> dict[str, Any]:
    request = ModelRequest(model=model, messages=ASKED, max_output_tokens=50, params=Params(**params))
    return json.loads(OpenAIWire(kind).request(request).body)


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    return data({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def data(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def read(*reads: bytes) -> list[Event]:
    reader = OpenAIWire(ProviderKind.openai).reader()
    return [event for part in reads for event in reader.feed(part)] + reader.close()


def failure(events: list[Event]) -> ProviderError:
    assert isinstance(events[-1], Failed)
    return events[-1].error


def comparable(events: list[Event]) -> list[str]:
    return [repr(event) for event in events]  # errors are equal to themselves only


# The request.


@pytest.mark.parametrize(
    ("kind", "cap"),
    [
        (ProviderKind.openai, "max_completion_tokens"),
        (ProviderKind.openai_compatible, "max_tokens"),
        (ProviderKind.local, "max_tokens"),
    ],
)
def test_a_plain_request(kind: ProviderKind, cap: str) -> None:
    assert body_of(kind) == {
        "model": "some-model",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        cap: 50,
    }


def test_parameters_travel_under_their_own_names_and_an_explicit_zero_travels_too() -> None:
    body = body_of(temperature=0.0, top_p=0.5, stop=("a", "b"), seed=0, presence_penalty=0.1, frequency_penalty=0.2)
    assert (body["temperature"], body["seed"], body["stop"]) == (0.0, 0, ["a", "b"])
    assert (body["top_p"], body["presence_penalty"], body["frequency_penalty"]) == (0.5, 0.1, 0.2)
    assert body_of(reasoning_effort="low")["reasoning_effort"] == "low"


def test_extra_goes_into_the_body_but_not_over_what_is_ours() -> None:
    body = body_of(extra={"logit_bias": {"5": 1}, "stream": False, "model": "dearer", "max_tokens": 10**6})
    assert body == {**body_of(), "logit_bias": {"5": 1}}


def test_what_the_model_does_not_take_is_left_out_with_a_notice() -> None:
    model = msgspec.structs.replace(MODEL, drops=frozenset({"temperature", "top_k", "stream_options", "seed"}))
    params = Params(temperature=0.7, top_p=0.9, extra={"top_k": 5})
    asked = ModelRequest(model=model, messages=ASKED, max_output_tokens=50, params=params)
    request = OpenAIWire(ProviderKind.openai).request(asked)
    assert json.loads(request.body).keys() == {"model", "messages", "stream", "max_completion_tokens", "top_p"}
    assert request.notices == (
        "temperature was left out: the model fast does not take it.",
        "top_k was left out: the model fast does not take it.",
    )


def test_the_key_is_a_bearer_token_and_none_is_none() -> None:
    assert OpenAIWire(ProviderKind.openai).headers("sk-1")["authorization"] == "Bearer sk-1"
    assert "authorization" not in OpenAIWire(ProviderKind.local).headers(None)


# The stream.

WHOLE = (
    chunk(role="assistant", content="")
    + chunk(reasoning_content="Hm")
    + b": ping\n\n"
    + chunk(content="Héllo ")
    + 'data: {"choices":[{"index":0,"delta":{"content":"日本🙂"},"finish_reason":null}],"usage":null}\r\n\r\n'.encode()
    + chunk(content="raw ??").replace(b"??", b"\xff\xfe")
    + chunk(tool_calls=[{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}])
    + chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"a"'}}])
    + chunk(finish="stop")
    + data({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}})
    + b"data: [DONE]"
)
WHOLE_EVENTS = [
    ReasoningDelta("Hm"),
    TextDelta("Héllo "),
    TextDelta("日本🙂"),
    TextDelta("raw \ufffd\ufffd"),
    ToolCallDelta(0, "", "c1", "f"),
    ToolCallDelta(0, '{"a"'),
    Finished(STOP),
    UsageReported(Usage(9, 2)),
]


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_a_stream_cut_anywhere_gives_the_same_events(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(WHOLE)]
    assert read(*(WHOLE[start:end] for start, end in pairwise(places))) == WHOLE_EVENTS


def test_a_stream_read_byte_by_byte_gives_the_same_events() -> None:
    assert read(*(WHOLE[i : i + 1] for i in range(len(WHOLE)))) == WHOLE_EVENTS


def test_a_stream_that_ends_anywhere_is_a_beginning_of_the_whole_and_never_a_failure() -> None:
    for end in range(len(WHOLE)):
        events = read(WHOLE[:end])
        assert events == WHOLE_EVENTS[: len(events)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (chunk(content="a") + chunk(finish="length"), [TextDelta("a"), Finished(FinishReason.length)]),
        (chunk(content="a", finish="stop"), [TextDelta("a"), Finished(STOP)]),
        (chunk(finish="tool_calls"), [Finished(FinishReason.tool_calls)]),
        (chunk(finish="function_call"), [Finished(FinishReason.tool_calls)]),
        (chunk(finish="content_filter"), [Finished(FinishReason.content_filter)]),
        (chunk(finish="eos"), [Finished(STOP)]),
        (chunk(finish=""), []),
        (chunk(reasoning="x", reasoning_content=None), [ReasoningDelta("x")]),
        (chunk(reasoning="x", reasoning_content="x"), [ReasoningDelta("x")]),
        (
            chunk(refusal="I will not.") + chunk(finish="stop"),
            [TextDelta("I will not."), Finished(FinishReason.content_filter)],
        ),
        (chunk(content=None, role="assistant"), []),
        (chunk(content="a\0b"), [TextDelta("a\ufffdb")]),
        (b'data: {"choices":[{"delta":{"content":"a\\ud83db"}}]}\n\n', [TextDelta("a\ufffdb")]),
        (b'data: {"choices":[{"delta":{"content":"\\ud83d\\ude42"}}]}\n\n', [TextDelta("🙂")]),
        (b'data: {"choices":[{"delta":{"content":"a\xed\xa0\x80"}}]}\n\n', [TextDelta("a\ufffd\ufffd\ufffd")]),
        (data({"choices": None}) + data({"choices": []}) + data({}), []),
        (data({"choices": [{"index": 0, "delta": None}]}), []),
        (data({"choices": [{"index": 1, "delta": {"content": "other"}}]}), []),
        (data({"choices": [{"delta": {"content": "a"}, "later": [{}]}], "obfuscation": "x"}), [TextDelta("a")]),
        (data({"error": None, "choices": [{"delta": {"content": "a"}}]}), [TextDelta("a")]),
        (b"data:\n\n" + chunk(content="a"), [TextDelta("a")]),
        (b"event: chunk\n" + chunk(content="a"), [TextDelta("a")]),
        (b"data: [DONE]\n\n" + chunk(content="late"), []),
        (chunk(content="a") + b"data: [DONE]\n\n", [TextDelta("a")]),
        (b"", []),
        (b"\r\n\r\n", []),
        (b": ping\n\n", []),
    ],
)
def test_what_a_stream_says(stream: bytes, events: list[Event]) -> None:
    assert read(stream) == events


def test_after_the_finish_only_usage_is_told() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    late = chunk(content="late") + chunk(finish="length") + data({"error": {"code": "x"}}) + b"data: broken\n\n"
    assert read(chunk(finish="stop") + data({"choices": [], "usage": usage}) + late) == [
        Finished(STOP),
        UsageReported(Usage(1, 1)),
    ]


def test_tool_calls_may_interleave_and_name_themselves_once() -> None:
    def call(index: int, arguments: str) -> dict[str, Any]:
        return {"index": index, "id": f"c{index}", "function": {"name": f"f{index}", "arguments": arguments}}

    stream = chunk(tool_calls=[call(0, "a"), call(1, "b")]) + chunk(tool_calls=[call(0, "c"), call(1, "d")])
    assert read(stream) == [
        ToolCallDelta(0, "a", "c0", "f0"),
        ToolCallDelta(1, "b", "c1", "f1"),
        ToolCallDelta(0, "c"),
        ToolCallDelta(1, "d"),
    ]


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}, Usage(9, 2)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(0, 0)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
            Usage(9, 5, 4, 3, 2),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "prompt_tokens_details": None,
                "completion_tokens_details": {"reasoning_tokens": -2},
            },
            Usage(9, 5),
        ),
        ({"prompt_tokens": -1, "completion_tokens": 2}, None),
        ({"prompt_tokens": 9}, None),
        ({"prompt_tokens": "9", "completion_tokens": 2}, None),
        ("many", None),
        (None, None),
    ],
)
def test_usage_is_told_when_it_is_figures(reported: Any, usage: Usage | None) -> None:
    events = read(chunk(finish="stop") + data({"choices": [], "usage": reported}))
    assert events == [Finished(STOP), *([UsageReported(usage)] if usage else [])]


@pytest.mark.parametrize(
    "line",
    [
        b"data: {\n\n",
        b'data: {"choices":"none"}\n\n',
        b'data: {"choices":[{"delta":{"content":5}}]}\n\n',
        b'data: {"choices":[{"delta":{"tool_calls":{}}}]}\n\n',
        b"data: [1]\n\n",
        b"data: null\n\n",
        b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"x":\xff}\n\n',
    ],
)
def test_an_event_that_breaks_the_wire_ends_the_stream(line: bytes) -> None:
    events = read(chunk(content="a") + line + chunk(content="late"))
    assert events[:-1] == [TextDelta("a")]
    assert type(failure(events)) is ProtocolError


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "m", "type": "server_error", "code": None}, UpstreamUnavailable),
        ({"message": "m", "type": "rate_limit_exceeded"}, RateLimited),
        ({"message": "m", "type": "tokens", "code": "insufficient_quota"}, SpendLimitReached),
        ({"message": "m", "code": 429}, RateLimited),
        ({"message": "m", "code": 503, "type": "unavailable_error"}, Overloaded),
        ({"message": "m", "code": 400, "type": "exceed_context_size_error"}, ContextTooLong),
        ({"message": "rate limit exceeded, your credit balance is 0"}, UpstreamUnavailable),
        ("something", UpstreamUnavailable),
        ([1], UpstreamUnavailable),
    ],
)
@pytest.mark.parametrize("frame", [lambda e: data({"error": e}), lambda e: b"event: error\n" + data({"error": e})])
def test_an_error_event_ends_the_stream(error: Any, kind: type[ProviderError], frame: Callable[[Any], bytes]) -> None:
    events = read(chunk(content="a") + frame(error) + chunk(content="late") + b"data: [DONE]\n\n")
    assert events[:-1] == [TextDelta("a")]
    assert type(failure(events)) is kind


@pytest.mark.parametrize(
    ("word", "kind"), [("error", UpstreamUnavailable), ("insufficient_system_resource", Overloaded)]
)
def test_a_finish_reason_that_means_broken_off_is_a_failure(word: str, kind: type[ProviderError]) -> None:
    assert type(failure(read(chunk(content="a") + chunk(finish=word)))) is kind


def test_a_line_over_the_cap_ends_the_stream() -> None:
    events = read(chunk(content="a"), b"data: " + b"x" * MAX_LINE, chunk(content="late"))
    assert events[:-1] == [TextDelta("a")]
    assert type(failure(events)) is ResponseTooLarge


def test_an_endless_stream_is_ended() -> None:
    ping = b": " + b"x" * 65_000 + b"\n"
    reader = OpenAIWire(ProviderKind.openai).reader()
    events = [event for _ in range(MAX_RESPONSE // len(ping) + 1) for event in reader.feed(ping)]
    assert [type(failure(events)), len(events)] == [ResponseTooLarge, 1]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error":{"message":"m","code":"insufficient_quota"}}', SpendLimitReached),
        (b' \n{"error":"no"}', UpstreamUnavailable),
        (b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}', ProtocolError),
        (b"<html></html>", ProtocolError),
        (b"[]", ProtocolError),
        (b'{"error":', ProtocolError),
    ],
)
def test_a_document_in_the_place_of_a_stream_is_a_failure_however_it_was_cut(
    body: bytes, kind: type[ProviderError]
) -> None:
    events = read(body)
    assert [type(failure(events)), len(events)] == [kind, 1]
    assert comparable(read(*(body[i : i + 1] for i in range(len(body))))) == comparable(events)


# Errors of a whole response.


def test_a_refused_key_is_not_quoted_whatever_the_provider_answers() -> None:
    body = b'{"error":{"message":"Incorrect API key: sk-123abc","type":"sk-123abc","code":"sk-123abc"}}'
    error = OpenAIWire(ProviderKind.openai).error(401, {"X-Request-Id": "req_1"}, body)
    assert type(error) is CredentialsRefused
    assert "sk-123" not in repr(vars(error)) + str(error)
    assert (error.status, error.request_id, error.provider_code) == (401, "req_1", None)
