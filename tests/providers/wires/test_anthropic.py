import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import Overloaded, ProtocolError, ProviderError, UpstreamUnavailable
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
from providers.models import Model, ModelRequest, Params
from providers.wires.anthropic import AnthropicWire

LATER = "2026-10-21"
MODEL = Model(id="claude", provider="claude", name="some-model", window=8000, max_output=1000)
STOP = FinishReason.stop


def asked(*said: str, model: Model = MODEL, **params: Any) -> ModelRequest:
    """A request whose messages are written as `s: text`, `u: text`, `a: text`."""
    roles = {"s": Role.system, "u": Role.user, "a": Role.assistant}
    messages = tuple(Message(roles[line[0]], line[3:]) for line in said or ("u: Hi",))
    return ModelRequest(model=model, messages=messages, max_output_tokens=50, params=Params(**params))


def body_of(request: ModelRequest, version: str = "2023-06-01") -> dict[str, Any]:
    return json.loads(AnthropicWire(version).request(request).body)


def conversation(*said: str) -> list[str]:
    return [f"{turn['role'][0]}: {turn['content']}" for turn in body_of(asked(*said))["messages"]]


def frame(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def start(**usage: Any) -> bytes:
    return frame("message_start", message={"id": "m", "content": [], "usage": usage})


def block(index: int, **fields: Any) -> bytes:
    return frame("content_block_start", index=index, content_block=fields)


def delta(index: int, **fields: Any) -> bytes:
    return frame("content_block_delta", index=index, delta=fields)


def text(words: str) -> bytes:
    return delta(0, type="text_delta", text=words)


def ending(reason: str | None = "end_turn", **usage: Any) -> bytes:
    more = {"usage": usage} if usage else {}
    return frame("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, **more)


def read(*reads: bytes) -> list[Event]:
    reader = AnthropicWire().reader()
    return [event for part in reads for event in reader.feed(part)] + reader.close()


def failure(events: list[Event]) -> ProviderError:
    assert isinstance(events[-1], Failed)
    return events[-1].error


# The request.


def test_a_plain_request() -> None:
    assert body_of(asked("s: Be brief.", "u: Hi", stop=("END",), temperature=0.5)) == {
        "model": "some-model",
        "max_tokens": 50,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Hi"}],
        "stop_sequences": ["END"],
        "temperature": 0.5,
        "stream": True,
    }


@pytest.mark.parametrize(
    ("said", "turns"),
    [
        (["u: Hi"], ["u: Hi"]),
        (["u: Hi", "u: there"], ["u: Hi\n\nthere"]),
        (["u: Hi", "a: Yes", "a: sir", "u: Go"], ["u: Hi", "a: Yes\n\nsir", "u: Go"]),
        (["a: Welcome", "u: Hi"], ["u: (The conversation begins.)", "a: Welcome", "u: Hi"]),
        (["s: Be", "a: Welcome", "u: Hi"], ["u: (The conversation begins.)", "a: Welcome", "u: Hi"]),
        (["s: Be"], ["u: (The conversation begins.)"]),
        (["s: Be", "u: Hi", "s: Stay in role"], ["u: Hi\n\nStay in role"]),
        (["u: Hi", "a:  \n", "u: there"], ["u: Hi\n\nthere"]),
        (["u: Hi", "a: Once upon a "], ["u: Hi", "a: Once upon a"]),
    ],
)
def test_turns_begin_with_the_user_alternate_and_are_not_blank(said: list[str], turns: list[str]) -> None:
    assert conversation(*said) == turns


def test_what_this_api_never_had_is_left_out_with_a_notice() -> None:
    request = AnthropicWire().request(asked(seed=0, presence_penalty=0.1, frequency_penalty=0.1, top_p=0.5))
    assert json.loads(request.body) == {**body_of(asked()), "top_p": 0.5}
    assert request.notices == (
        "seed was left out: this API does not have it.",
        "presence_penalty was left out: this API does not have it.",
        "frequency_penalty was left out: this API does not have it.",
    )


def test_later_versions_get_no_sampling_parameters_and_a_notice_instead() -> None:
    sampled = asked(temperature=0.7, top_p=0.9, extra={"top_k": 5, "metadata": {"user_id": "u"}})
    request = AnthropicWire(LATER).request(sampled)
    assert json.loads(request.body) == {**body_of(asked()), "metadata": {"user_id": "u"}}
    assert request.notices == tuple(
        f"{name} was left out: version 2026-10-21 of this API refuses it." for name in ("temperature", "top_p", "top_k")
    )
    assert {"temperature", "top_p", "top_k"} < body_of(sampled).keys()


def test_what_the_model_does_not_take_is_left_out_with_a_notice() -> None:
    model = msgspec.structs.replace(MODEL, drops=frozenset({"temperature", "stop", "reasoning_effort"}))
    request = AnthropicWire().request(asked(model=model, temperature=0.7, stop=("END",), reasoning_effort="low"))
    assert json.loads(request.body) == body_of(asked())
    assert [notice.split()[0] for notice in request.notices] == ["temperature", "stop_sequences", "reasoning_effort"]


def test_effort_is_mapped_where_this_api_has_it() -> None:
    assert body_of(asked(reasoning_effort="high"))["output_config"] == {"effort": "high"}
    request = AnthropicWire().request(asked(reasoning_effort="minimal"))
    assert "output_config" not in json.loads(request.body)
    assert request.notices == ("reasoning_effort was left out: this API has no effort 'minimal'.",)


def test_temperature_is_lowered_to_what_this_api_takes() -> None:
    request = AnthropicWire().request(asked(temperature=1.4))
    assert json.loads(request.body)["temperature"] == 1
    assert request.notices == ("temperature was lowered to 1, the highest that this API takes.",)


def test_blank_stop_sequences_are_left_out() -> None:
    assert body_of(asked(stop=("\n", "END")))["stop_sequences"] == ["END"]
    assert "stop_sequences" not in body_of(asked(stop=("\n",)))


def test_extra_does_not_change_what_is_ours() -> None:
    assert body_of(asked(extra={"stream": False, "max_tokens": 10**6, "system": "x"})) == body_of(asked())


def test_the_version_decides_how_the_key_travels() -> None:
    first, later = AnthropicWire().headers("sk-1"), AnthropicWire(LATER).headers("sk-1")
    assert (first["x-api-key"], first["anthropic-version"]) == ("sk-1", "2023-06-01")
    assert (later["authorization"], later["anthropic-version"]) == ("Bearer sk-1", LATER)
    assert "authorization" not in first
    assert "x-api-key" not in later
    assert not {"x-api-key", "authorization"} & AnthropicWire().headers(None).keys()


# The stream.

WHOLE = (
    start(input_tokens=9, output_tokens=1, cache_read_input_tokens=4, cache_creation_input_tokens=2)
    + block(0, type="thinking", thinking="", signature="")
    + delta(0, type="thinking_delta", thinking="Hm")
    + delta(0, type="signature_delta", signature="x")
    + frame("content_block_stop", index=0)
    + frame("ping")
    + block(1, type="text", text="")
    + text("Héllo 日本🙂")
    + text("raw ??").replace(b"??", b"\xff\xfe")
    + frame("content_block_stop", index=1)
    + block(2, type="tool_use", id="t1", name="f", input={})
    + delta(2, type="input_json_delta", partial_json="")
    + delta(2, type="input_json_delta", partial_json='{"a"')
    + block(3, type="tool_use", id="t2", name="g", input={})
    + ending("tool_use", output_tokens=7, output_tokens_details={"thinking_tokens": 3})
    + frame("message_stop").replace(b"\n", b"\r\n")
)
WHOLE_EVENTS = [
    ReasoningDelta("Hm"),
    TextDelta("Héllo 日本🙂"),
    TextDelta("raw \ufffd\ufffd"),
    ToolCallDelta(0, "", "t1", "f"),
    ToolCallDelta(0, '{"a"'),
    ToolCallDelta(1, "", "t2", "g"),
    UsageReported(Usage(15, 7, 4, 2, 3)),
    Finished(FinishReason.tool_calls),
]


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_a_stream_cut_anywhere_gives_the_same_events(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(WHOLE)]
    assert read(*(WHOLE[begin:end] for begin, end in pairwise(places))) == WHOLE_EVENTS


def test_a_stream_read_byte_by_byte_gives_the_same_events() -> None:
    assert read(*(WHOLE[i : i + 1] for i in range(len(WHOLE)))) == WHOLE_EVENTS


def test_a_stream_that_ends_anywhere_is_a_beginning_of_the_whole_and_never_a_failure() -> None:
    for end in range(len(WHOLE)):
        events = read(WHOLE[:end])
        assert events == WHOLE_EVENTS[: len(events)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (text("a") + ending("end_turn"), [TextDelta("a"), Finished(STOP)]),
        (ending("stop_sequence"), [Finished(STOP)]),
        (ending("pause_turn"), [Finished(STOP)]),
        (ending("max_tokens"), [Finished(FinishReason.length)]),
        (ending("model_context_window_exceeded"), [Finished(FinishReason.length)]),
        (ending("refusal"), [Finished(FinishReason.content_filter)]),
        (ending("yet_unknown"), [Finished(STOP)]),
        (ending(None), []),
        (block(0, type="text", text="Hi ") + text("you"), [TextDelta("Hi "), TextDelta("you")]),
        (block(0, type="thinking", thinking="Hm"), [ReasoningDelta("Hm")]),
        (block(0, type="server_tool_use", id="s", name="web"), []),
        (delta(5, type="input_json_delta", partial_json="{}"), []),
        (delta(0, type="citations_delta", citation={}), []),
        (delta(0, type="yet_unknown", text="x"), []),
        (frame("yet_unknown", index=1), []),
        (text("a\0b"), [TextDelta("a\ufffdb")]),
        (text("a??b").replace(b"??", b"\\udc00"), [TextDelta("a\ufffdb")]),
        (text(""), []),
        (frame("message_stop") + text("late"), []),
        (ending("end_turn") + text("late") + ending("refusal"), [Finished(STOP)]),
        (ending("end_turn") + frame("error", error={"type": "api_error"}), [Finished(STOP)]),
        (b": ping\n\n", []),
        (b"data:\n\n" + text("a"), [TextDelta("a")]),
        (text("a").split(b"\n", 1)[1], [TextDelta("a")]),
        (b"", []),
    ],
)
def test_what_a_stream_says(stream: bytes, events: list[Event]) -> None:
    assert read(stream) == events


@pytest.mark.parametrize(
    ("stream", "usages"),
    [
        (start(input_tokens=9, output_tokens=1) + ending(output_tokens=3), [Usage(9, 3)]),
        (start(input_tokens=0, output_tokens=0) + ending(output_tokens=0), [Usage(0, 0)]),
        (
            start(input_tokens=9, cache_read_input_tokens=5) + ending(output_tokens=3, cache_read_input_tokens=None),
            [Usage(14, 3, 5)],
        ),
        (
            start(input_tokens=9, output_tokens=1) + ending(None, output_tokens=3) + ending(output_tokens=8),
            [Usage(9, 3), Usage(9, 8)],
        ),
        (
            start() + ending(input_tokens=4, output_tokens=2, cache_creation_input_tokens=1),
            [Usage(5, 2, 0, 1)],
        ),
        (start(input_tokens=9, output_tokens=1), []),
        (start(input_tokens=9, output_tokens=1) + ending(), []),
        (start() + ending(output_tokens=3), []),
        (start(input_tokens=-9) + ending(output_tokens=3), []),
        (start(input_tokens=9) + ending(output_tokens=-3), []),
        (start(input_tokens="9") + ending(output_tokens=3), []),
        (start(input_tokens=9, cache_read_input_tokens=-5) + ending(output_tokens=3), [Usage(9, 3)]),
    ],
)
def test_usage_is_the_total_so_far_with_the_cached_part_added(stream: bytes, usages: list[Usage]) -> None:
    assert [event.usage for event in read(stream) if isinstance(event, UsageReported)] == usages


@pytest.mark.parametrize(
    "line",
    [
        b"data: {\n\n",
        b"data: {}\n\n",
        b'data: {"type":5}\n\n',
        b"data: []\n\n",
        delta(0, type="text_delta", text=5),
        frame("content_block_delta", index="zero", delta={}),
        frame("message_start", message="none"),
    ],
)
def test_an_event_that_breaks_the_wire_ends_the_stream(line: bytes) -> None:
    events = read(text("a") + line + text("late"))
    assert events[:-1] == [TextDelta("a")]
    assert type(failure(events)) is ProtocolError


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "overloaded_error", "message": "m"}, Overloaded),
        ({"type": "api_error", "message": "overloaded_error"}, UpstreamUnavailable),
        (None, UpstreamUnavailable),
    ],
)
def test_an_error_event_ends_the_stream(error: Any, kind: type[ProviderError]) -> None:
    events = read(text("a") + frame("error", error=error) + text("late") + frame("message_stop"))
    assert events[:-1] == [TextDelta("a")]
    assert type(failure(events)) is kind


def test_an_error_document_in_the_place_of_a_stream_is_that_error() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"m"}}'
    assert type(failure(read(body))) is Overloaded
    assert type(failure(read(b'{"type":"message","content":[]}'))) is ProtocolError


def test_an_error_response_is_mapped_by_its_codes() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"m"},"request_id":"req_1"}'
    error = AnthropicWire().error(529, {"request-id": "req_1", "retry-after": "3"}, body)
    assert (type(error), error.request_id, error.retry_after) == (Overloaded, "req_1", 3)
