import asyncio
import socket
import traceback
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from providers.errors import (
    ContentFiltered,
    ContextTooLong,
    CredentialsRefused,
    EmptyCompletion,
    NoKey,
    Overloaded,
    ProtocolError,
    ProviderError,
    RateLimited,
    RequestRefused,
    ResponseTooLarge,
    SpendLimitReached,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from providers.events import Event, Failed, Finished, FinishReason, Noticed, TextDelta, UsageReported
from providers.messages import Message, Role
from providers.models import Model, ModelRequest, Params, ProviderKind
from providers.provider import Readiness
from providers.scripted.faults import FAULTS
from providers.scripted.script import FOREVER, Script
from providers.scripted.server import ScriptedUpstream
from providers.upstream.clocks import Clocks
from providers.upstream.http import HTTPProvider
from providers.upstream.keys import KeyPool, ProviderKey, Secret, origin_of
from providers.upstream.transport import Transport
from providers.wires.anthropic import AnthropicWire
from providers.wires.openai import OpenAIWire
from providers.wires.wire import MAX_LINE

pytestmark = pytest.mark.anyio

CANARY = "sk-canary-5f1d7c"
OTHER = "sk-other-77aa"
MODEL = Model(id="fast", provider="house", name="any", window=8000, max_output=1000)
REQUEST = ModelRequest(model=MODEL, messages=(Message(Role.user, "Hi"),), max_output_tokens=100, request_id="req-42")
QUICK = Clocks(connect=0.2, first_token=0.25, idle=0.25, total=5)

Build = Callable[..., HTTPProvider]


@pytest.fixture(params=["openai", "anthropic"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def build(scripted_upstream: ScriptedUpstream, family: str) -> AsyncIterator[Build]:
    """Builds a provider that asks the scripted upstream over the family's wire."""
    transport = Transport()
    await transport.start()

    def build(*keys: str, clocks: Clocks = QUICK, url: str = scripted_upstream.url) -> HTTPProvider:
        pool = KeyPool("house", origin_of(url), key_env="HOUSE_API_KEY")
        pool.replace([ProviderKey(Secret(key)) for key in keys or (CANARY,)])
        if family == "anthropic":
            return HTTPProvider("house", url, AnthropicWire(), transport, pool, clocks)
        return HTTPProvider("house", f"{url}/v1", OpenAIWire(ProviderKind.openai), transport, pool, clocks)

    yield build
    await transport.aclose()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that retries asked to wait; they do not wait at all."""
    asked: list[float] = []

    async def sleep(seconds: float) -> None:
        asked.append(seconds)

    monkeypatch.setattr("providers.upstream.retries.sleep", sleep)
    return asked


async def collected(provider: HTTPProvider, request: ModelRequest = REQUEST) -> list[Event]:
    return [event async for batch in provider.stream(request) for event in batch]


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def notices_of(events: list[Event]) -> list[str]:
    return [event.sentence for event in events if isinstance(event, Noticed)]


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
    assert request.key == CANARY


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


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("rate-limited", RateLimited),
        ("server-error", UpstreamUnavailable),
        ("bad-gateway-html", UpstreamUnavailable),
        ("unavailable", Overloaded),
        ("gateway-timeout", UpstreamTimeout),
        ("overloaded", Overloaded),
        ("reset-at-once", UpstreamUnavailable),
    ],
)
async def test_a_passing_fault_is_retried_twice(
    build: Build, scripted_upstream: ScriptedUpstream, waits: list[float], fault: str, error: type[ProviderError]
) -> None:
    scripted_upstream.enqueue(*[FAULTS[fault]] * 5)
    with pytest.raises(error):
        await collected(build())
    assert len(scripted_upstream.requests) == 3
    assert len(waits) == 2


async def test_a_retry_that_succeeds_is_noticed(
    build: Build, scripted_upstream: ScriptedUpstream, waits: list[float]
) -> None:
    scripted_upstream.enqueue(FAULTS["overloaded"], "Here I am.")
    events = await collected(build())
    assert text_of(events) == "Here I am."
    (notice,) = notices_of(events)
    assert notice.startswith("Asked again after ")
    assert isinstance(events[0], Noticed)


async def test_retry_after_is_waited_out(build: Build, scripted_upstream: ScriptedUpstream, waits: list[float]) -> None:
    scripted_upstream.enqueue(Script(status=503, headers={"retry-after": "17"}), "Back.")
    assert text_of(await collected(build())) == "Back."
    assert waits == [17]


async def test_waits_grow_with_full_jitter(
    build: Build, scripted_upstream: ScriptedUpstream, waits: list[float]
) -> None:
    provider = build()
    for _ in range(20):
        scripted_upstream.enqueue(*[FAULTS["server-error"]] * 3)
        with pytest.raises(UpstreamUnavailable):
            await collected(provider)
    first, second = waits[::2], waits[1::2]
    assert 0 <= min(first) < max(first) <= 0.5
    assert 0 <= min(second) < max(second) <= 1
    assert max(second) > 0.5
    assert len(set(waits)) == 40


@pytest.mark.parametrize("fault", ["rate-limited-absurdly", "rate-limited-until"])
async def test_a_long_retry_after_is_given_up_at_once_and_told(
    build: Build, scripted_upstream: ScriptedUpstream, fault: str
) -> None:
    scripted_upstream.enqueue(FAULTS[fault])
    with pytest.raises(RateLimited) as caught:
        await collected(build())
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 100_000
    assert len(scripted_upstream.requests) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("out-of-quota", SpendLimitReached),
        ("payment-required", SpendLimitReached),
        ("wrong-key", CredentialsRefused),
        ("forbidden", CredentialsRefused),
        ("unknown-model", RequestRefused),
        ("context-too-long", ContextTooLong),
        ("prompt-filtered", ContentFiltered),
        ("redirect", ProtocolError),
        ("no-content", ProtocolError),
        ("html-for-stream", ProtocolError),
        ("json-for-stream", ProtocolError),
    ],
)
async def test_a_lasting_fault_is_not_retried(
    build: Build, scripted_upstream: ScriptedUpstream, fault: str, error: type[ProviderError]
) -> None:
    scripted_upstream.enqueue(FAULTS[fault])
    with pytest.raises(error):
        await collected(build())
    assert len(scripted_upstream.requests) == 1


@pytest.mark.parametrize("headers", [{"content-type": "text/plain"}, {"content-encoding": "gzip"}])
async def test_an_answer_in_another_dress_breaks_the_protocol(
    build: Build, scripted_upstream: ScriptedUpstream, headers: dict[str, str]
) -> None:
    scripted_upstream.enqueue(Script(reply="Hello", headers=headers))
    with pytest.raises(ProtocolError):
        await collected(build())


@pytest.mark.parametrize("fault", ["wrong-key", "out-of-quota", "rate-limited-absurdly"])
async def test_another_key_is_tried_at_once_where_the_key_is_to_blame(
    build: Build, scripted_upstream: ScriptedUpstream, waits: list[float], fault: str
) -> None:
    provider = build(CANARY, OTHER)
    scripted_upstream.enqueue(FAULTS[fault], "With the other key.", "And again.", "And again.")
    events = await collected(provider)
    await collected(provider)
    await collected(provider)
    assert text_of(events) == "With the other key."
    assert [request.key for request in scripted_upstream.requests] == [CANARY, OTHER, OTHER, OTHER]
    assert waits == [0]
    assert notices_of(events)[0].startswith("Asked again with another key:")


async def test_no_key_is_worth_more_than_two_retries(
    build: Build, scripted_upstream: ScriptedUpstream, waits: list[float]
) -> None:
    scripted_upstream.enqueue(*[FAULTS["wrong-key"]] * 5)
    with pytest.raises(CredentialsRefused):
        await collected(build("sk-a", "sk-b", "sk-c", "sk-d"))
    assert [request.key for request in scripted_upstream.requests] == ["sk-a", "sk-b", "sk-c"]


@pytest.mark.parametrize("fault", ["empty", "role-only", "finish-only"])
async def test_an_empty_answer_is_retried_once(
    build: Build, scripted_upstream: ScriptedUpstream, waits: list[float], fault: str
) -> None:
    provider = build()
    scripted_upstream.enqueue(*[FAULTS[fault]] * 2)
    with pytest.raises(EmptyCompletion):
        await collected(provider)
    assert len(scripted_upstream.requests) == 2
    scripted_upstream.enqueue(FAULTS[fault], "Something.")
    assert text_of(await collected(provider)) == "Something."


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
    assert text_of(events) == "The quick brown fox jumps over the lazy dog."
    assert isinstance(events[-1], Failed)
    assert type(events[-1].error) is error
    assert len([event for event in events if isinstance(event, Failed)]) == 1
    assert len(scripted_upstream.requests) == 1


async def test_an_error_event_before_content_is_raised_and_retried(
    build: Build, scripted_upstream: ScriptedUpstream, waits: list[float]
) -> None:
    scripted_upstream.enqueue(Script(error="overloaded_error"), "Then it went well.")
    assert text_of(await collected(build())) == "Then it went well."


@pytest.mark.parametrize("fault", ["cut", "closed-mid-body", "reset", "without-finish"])
async def test_an_answer_cut_short_just_ends(build: Build, scripted_upstream: ScriptedUpstream, fault: str) -> None:
    scripted_upstream.enqueue(FAULTS[fault])
    events = await collected(build())
    assert "The quick brown fox jumps over the lazy dog.".startswith(text_of(events))
    assert text_of(events)
    assert not [event for event in events if isinstance(event, Finished | Failed)]
    assert len(scripted_upstream.requests) == 1


async def test_a_reset_at_any_byte_is_either_cut_short_or_retried(
    build: Build, scripted_upstream: ScriptedUpstream, waits: list[float]
) -> None:
    provider = build()
    whole = Script(reply=("The quick ", "brown fox."), ending="reset")
    for place in range(0, 1200, 97):
        scripted_upstream.requests.clear()
        scripted_upstream.enqueue(msgspec.structs.replace(whole, cut_at=place), "Second.")
        events = await collected(provider)
        if len(scripted_upstream.requests) == 2:
            assert text_of(events) == "Second."
        else:
            assert text_of(events) in ("The quick ", "The quick brown fox.")
            scripted_upstream.next_script()  # the one that was not needed
        assert not [event for event in events if isinstance(event, Failed)]


@pytest.mark.parametrize("fault", ["without-done", "without-last-newline", "carriage-returns", "byte-order-mark"])
async def test_an_odd_but_whole_answer_is_whole(build: Build, scripted_upstream: ScriptedUpstream, fault: str) -> None:
    scripted_upstream.enqueue(FAULTS[fault])
    events = await collected(build())
    assert text_of(events) == "The quick brown fox jumps over the lazy dog."
    assert Finished(FinishReason.stop) in events


async def test_characters_survive_any_split(build: Build, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(FAULTS["bytewise"])
    assert text_of(await collected(build())) == "naïve 日本語 🙂"


@pytest.mark.parametrize("fault", ["silent-before-headers", "comments-only"])
async def test_without_content_the_first_token_clock_runs_out(
    build: Build, scripted_upstream: ScriptedUpstream, waits: list[float], fault: str
) -> None:
    scripted_upstream.enqueue(*[FAULTS[fault]] * 3)
    begun = asyncio.get_running_loop().time()
    with pytest.raises(UpstreamTimeout, match="first token clock"):
        await collected(build())
    assert asyncio.get_running_loop().time() - begun == pytest.approx(3 * QUICK.first_token, abs=0.3)
    assert len(scripted_upstream.requests) == 3


async def test_silence_after_content_is_a_failure_of_the_idle_clock(
    build: Build, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.enqueue(FAULTS["silent-mid-stream"])
    events = await collected(build())
    assert text_of(events)
    assert isinstance(events[-1], Failed)
    assert "idle clock (0.25 s)" in events[-1].error.message
    await asyncio.sleep(0.1)
    assert scripted_upstream.requests[0].abandoned


async def test_keep_alive_comments_are_no_life(build: Build, scripted_upstream: ScriptedUpstream) -> None:
    comments = ": still here\n\n" * 40
    scripted_upstream.enqueue(Script(reply="Hm", insert=comments, split=14, split_gap=0.02, finish=None, done=False))
    events = await collected(build(clocks=msgspec.structs.replace(QUICK, first_token=5, idle=0.15)))
    assert text_of(events) == "Hm"
    assert isinstance(events[-1], Failed)
    assert "idle clock" in events[-1].error.message


async def test_the_total_ends_an_answer_that_drips(build: Build, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(Script(reply="drip " * 100, gap=0.02))
    begun = asyncio.get_running_loop().time()
    events = await collected(build(clocks=msgspec.structs.replace(QUICK, total=0.3)))
    assert asyncio.get_running_loop().time() - begun == pytest.approx(0.3, abs=0.15)
    assert isinstance(events[-1], Failed)
    assert "total clock (0.3 s)" in events[-1].error.message


async def test_the_total_counts_over_all_attempts(
    build: Build, scripted_upstream: ScriptedUpstream, waits: list[float]
) -> None:
    scripted_upstream.enqueue(*[Script(first_after=FOREVER)] * 3)
    with pytest.raises(UpstreamTimeout, match="total clock"):
        await collected(build(clocks=msgspec.structs.replace(QUICK, total=0.4)))
    assert len(scripted_upstream.requests) == 2


async def test_a_slow_reader_does_not_make_the_upstream_idle(build: Build, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(Script(reply="1 2 3 4 5 6 7 8", gap=0.08))
    batches = build().stream(REQUEST)
    events = await anext(batches)
    await asyncio.sleep(0.4)  # longer than the idle clock, and the upstream is not done yet
    events += [event async for batch in batches for event in batch]
    assert text_of(events) == "1 2 3 4 5 6 7 8"
    assert Finished(FinishReason.stop) in events


async def test_a_provider_that_is_done_but_does_not_hang_up_is_not_waited_for(
    build: Build, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.upstream.clocks.LINGER", 0.1)
    scripted_upstream.enqueue(Script(reply="Done.", ending="stall"))
    begun = asyncio.get_running_loop().time()
    events = await collected(build(clocks=Clocks()))
    assert asyncio.get_running_loop().time() - begun < 1
    assert text_of(events) == "Done."
    assert Finished(FinishReason.stop) in events
    assert not isinstance(events[-1], Failed)


async def test_closing_the_stream_hangs_up_at_once(build: Build, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(Script(reply="more " * 1000, gap=0.02))
    batches = build().stream(REQUEST)
    await anext(batches)
    await batches.aclose()
    await asyncio.sleep(0.1)
    assert scripted_upstream.requests[0].abandoned


@pytest.mark.parametrize("fault", ["silent-before-headers", "comments-only"])
async def test_cancelling_before_the_first_content_hangs_up_at_once(
    build: Build, scripted_upstream: ScriptedUpstream, fault: str
) -> None:
    scripted_upstream.enqueue(FAULTS[fault])
    asking = asyncio.create_task(collected(build(clocks=Clocks())))
    await asyncio.sleep(0.15)
    asking.cancel()
    await asyncio.wait([asking])
    await asyncio.sleep(0.1)
    assert asking.cancelled()
    assert scripted_upstream.requests[0].abandoned


async def test_nobody_at_the_address_is_retried_and_told(build: Build, waits: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(UpstreamUnavailable) as caught:
        await collected(build(url=f"http://127.0.0.1:{port}"))
    assert str(port) not in caught.value.message
    assert len(waits) == 2


@pytest.mark.parametrize("fault", sorted(FAULTS))
async def test_no_fault_brings_the_key_to_light(
    build: Build, scripted_upstream: ScriptedUpstream, waits: list[float], fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    scripted_upstream.enqueue(*[FAULTS[fault]] * 3)
    provider = build(clocks=msgspec.structs.replace(QUICK, total=0.15))
    told = repr(vars(provider))
    try:
        events = await collected(provider)
        told += repr(events) + "".join(repr(vars(event.error)) for event in events if isinstance(event, Failed))
    except ProviderError as error:
        chain: BaseException | None = error
        while chain is not None:
            told += "".join(traceback.format_exception(chain)) + repr(vars(chain))
            chain = chain.__context__
    assert scripted_upstream.requests[0].key == CANARY
    assert CANARY not in told + caplog.text


async def test_a_line_over_the_cap_is_not_waited_for(build: Build, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.enqueue(Script(reply="Hi", insert="data: " + "x" * 2 * MAX_LINE, ending="stall"))
    events = await collected(build(clocks=Clocks()))
    assert isinstance(events[-1], Failed)
    await asyncio.sleep(0.1)
    assert scripted_upstream.requests[0].abandoned


async def test_without_a_key_nothing_is_asked(build: Build, scripted_upstream: ScriptedUpstream) -> None:
    provider = build()
    assert provider.availability().readiness is Readiness.ready
    provider._keys.replace([])
    with pytest.raises(NoKey, match="gateway keys add house"):
        await collected(provider)
    assert provider.availability().readiness is Readiness.no_key
    assert not scripted_upstream.requests
