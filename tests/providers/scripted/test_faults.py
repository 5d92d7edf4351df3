"""The ways in which the scripted upstream goes wrong."""

import httpx
import msgspec
import pytest
from provider_streams import TALK, finish_of, text_of, usage_of
from waiting import wait_until
from wire_asker import Asker, error_of

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
from providers.events import FinishReason, Usage
from providers.scripted.faults import FAULTS
from providers.scripted.script import script_from


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
    asker.client.timeout = httpx.Timeout(30, read=0.3)
    with pytest.raises(httpx.ReadTimeout):
        asker.ask(FAULTS[fault])
    wait_until(lambda: asker.upstream.requests and asker.upstream.requests[-1].abandoned)
    assert asker.upstream.running == 0


def test_comments_only_never_end_and_never_say_anything(asker: Asker) -> None:
    asker.upstream.enqueue(FAULTS["comments-only"])
    body, headers = asker.request()
    reader = asker.wire.reader()
    with asker.client.stream("POST", asker.url, content=body, headers=headers) as response:
        reads = response.iter_raw()
        assert [reader.feed(next(reads)) for _ in range(3)] == [[], [], []]
        assert asker.upstream.running == 1
    wait_until(lambda: asker.upstream.requests[-1].abandoned)


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_every_fault_is_a_script_that_survives_being_changed(fault: str) -> None:
    changed = script_from({"fault": fault, "gap": 0.5}, FAULTS)
    assert changed == msgspec.structs.replace(FAULTS[fault], gap=0.5)
