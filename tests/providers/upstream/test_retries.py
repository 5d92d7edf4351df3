"""When a provider is asked again, after how long, and with which key."""

import socket

import msgspec
import pytest
from provider_streams import KEY, Build, collected, notices_of, text_of

from providers.errors import (
    ContentFiltered,
    ContextTooLong,
    CredentialsRefused,
    EmptyCompletion,
    Overloaded,
    ProtocolError,
    ProviderError,
    RateLimited,
    RequestRefused,
    SpendLimitReached,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from providers.events import Failed, Noticed
from providers.scripted.faults import FAULTS
from providers.scripted.script import Script
from providers.scripted.server import ScriptedUpstream

pytestmark = pytest.mark.anyio

OTHER = "sk-other-77aa"


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


@pytest.mark.parametrize("fault", ["wrong-key", "out-of-quota", "rate-limited-absurdly"])
async def test_another_key_is_tried_at_once_where_the_key_is_to_blame(
    build: Build, scripted_upstream: ScriptedUpstream, waits: list[float], fault: str
) -> None:
    provider = build(KEY, OTHER)
    scripted_upstream.enqueue(FAULTS[fault], "With the other key.", "And again.", "And again.")
    events = await collected(provider)
    await collected(provider)
    await collected(provider)
    assert text_of(events) == "With the other key."
    assert [request.key for request in scripted_upstream.requests] == [KEY, OTHER, OTHER, OTHER]
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


async def test_an_error_event_before_content_is_raised_and_retried(
    build: Build, scripted_upstream: ScriptedUpstream, waits: list[float]
) -> None:
    scripted_upstream.enqueue(Script(error="overloaded_error"), "Then it went well.")
    assert text_of(await collected(build())) == "Then it went well."


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


async def test_nobody_at_the_address_is_retried_and_told(build: Build, waits: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(UpstreamUnavailable) as caught:
        await collected(build(url=f"http://127.0.0.1:{port}"))
    assert str(port) not in caught.value.message
    assert len(waits) == 2
