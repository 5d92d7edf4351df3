"""What the scripted upstream says when all is well."""

import time

import httpx
from provider_streams import finish_of, text_of, usage_of
from wire_asker import Asker

from providers.events import Finished, FinishReason, ReasoningDelta, TextDelta, ToolCallDelta, Usage, UsageReported
from providers.scripted.script import Figures, Script, ToolCall
from providers.scripted.server import ScriptedUpstream


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
    assert text_of(asker.ask(model="fake-3-0-0")) == "token " * 3
    begun = time.monotonic()
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
    assert time.monotonic() - begun > 0.05 + 2 * 0.03
