"""What a provider over HTTP makes of an answer."""

import traceback

import msgspec
import pytest
from provider_streams import KEY, MODEL, REQUEST, TALK, Build, collected, notices_of, text_of

from providers.errors import NoKey, Overloaded, ProtocolError, ProviderError, ResponseTooLarge
from providers.events import Failed, Finished, FinishReason, Noticed, TextDelta, UsageReported
from providers.models import Params
from providers.provider import Readiness
from providers.scripted.faults import FAULTS
from providers.scripted.script import Script
from providers.scripted.server import ScriptedUpstream
from providers.upstream.clocks import Clocks

pytestmark = pytest.mark.anyio


async def test_a_reply_comes_with_usage_and_an_end(build: Build, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue("Hello there.")
    events = await collected(build())
    assert text_of(events) == "Hello there."
    assert Finished(FinishReason.stop) in events
    assert any(isinstance(event, UsageReported) for event in events)
    assert notices_of(events) == []


async def test_the_request_id_and_the_key_travel_upstream(build: Build, scripted_upstream: ScriptedUpstream) -> None:
    await collected(build())
    (request,) = scripted_upstream.requests
    assert request.headers["x-request-id"] == "req-42"
    assert request.key == KEY


async def test_what_the_wire_left_out_is_noticed_with_the_first_batch(
    build: Build, scripted_upstream: ScriptedUpstream
) -> None:
    model = msgspec.structs.replace(MODEL, drops=frozenset({"temperature"}))
    batches = build().stream(msgspec.structs.replace(REQUEST, model=model, params=Params(temperature=0.5)))
    first = await anext(batches)
    await batches.aclose()
    assert isinstance(first[0], Noticed)
    assert "temperature" in first[0].sentence
    assert any(isinstance(event, TextDelta) for event in first)


@pytest.mark.parametrize("headers", [{"content-type": "text/plain"}, {"content-encoding": "gzip"}])
async def test_an_answer_in_another_dress_breaks_the_protocol(
    build: Build, scripted_upstream: ScriptedUpstream, headers: dict[str, str]
) -> None:
    scripted_upstream.enqueue(Script(reply="Hello", headers=headers))
    with pytest.raises(ProtocolError):
        await collected(build())


async def test_a_filtered_answer_may_be_empty(build: Build, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(Script(finish="content_filter"))
    assert Finished(FinishReason.content_filter) in await collected(build())
    assert len(scripted_upstream.requests) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [("error-event", Overloaded), ("malformed-json", ProtocolError), ("huge-line", ResponseTooLarge)],
)
async def test_a_failure_after_content_is_the_last_event(
    build: Build, scripted_upstream: ScriptedUpstream, fault: str, error: type[ProviderError]
) -> None:
    scripted_upstream.enqueue(FAULTS[fault])
    events = await collected(build())
    assert text_of(events) == TALK
    assert isinstance(events[-1], Failed)
    assert type(events[-1].error) is error
    assert len([event for event in events if isinstance(event, Failed)]) == 1
    assert len(scripted_upstream.requests) == 1


@pytest.mark.parametrize("fault", ["cut", "closed-mid-body", "reset", "without-finish"])
async def test_an_answer_cut_short_just_ends(build: Build, scripted_upstream: ScriptedUpstream, fault: str) -> None:
    scripted_upstream.enqueue(FAULTS[fault])
    events = await collected(build())
    assert TALK.startswith(text_of(events))
    assert text_of(events)
    assert not [event for event in events if isinstance(event, Finished | Failed)]
    assert len(scripted_upstream.requests) == 1


@pytest.mark.parametrize("fault", ["without-done", "without-last-newline", "carriage-returns", "byte-order-mark"])
async def test_an_odd_but_whole_answer_is_whole(build: Build, scripted_upstream: ScriptedUpstream, fault: str) -> None:
    scripted_upstream.enqueue(FAULTS[fault])
    events = await collected(build())
    assert text_of(events) == TALK
    assert Finished(FinishReason.stop) in events


async def test_characters_survive_any_split(build: Build, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(FAULTS["bytewise"])
    assert text_of(await collected(build())) == "naïve 日本語 🙂"


@pytest.mark.parametrize("fault", sorted(FAULTS))
async def test_no_fault_brings_the_key_to_light(
    build: Build, scripted_upstream: ScriptedUpstream, waits: list[float], fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    scripted_upstream.enqueue(*[FAULTS[fault]] * 3)
    provider = build(clocks=Clocks(total=0.6))
    told = repr(vars(provider))
    try:
        events = await collected(provider)
        told += repr(events) + "".join(repr(vars(event.error)) for event in events if isinstance(event, Failed))
    except ProviderError as error:
        chain: BaseException | None = error
        while chain is not None:
            told += "".join(traceback.format_exception(chain)) + repr(vars(chain))
            chain = chain.__context__
    assert scripted_upstream.requests[0].key == KEY
    assert KEY not in told + caplog.text


async def test_without_a_key_nothing_is_asked(build: Build, scripted_upstream: ScriptedUpstream) -> None:
    provider = build()
    assert provider.availability().readiness is Readiness.ready
    provider._keys.replace([])
    with pytest.raises(NoKey, match="gateway keys add house"):
        await collected(provider)
    assert provider.availability().readiness is Readiness.no_key
    assert not scripted_upstream.requests
