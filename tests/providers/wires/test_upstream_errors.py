import json
from email.utils import formatdate
from typing import Any

import pytest

from providers.errors import (
    ContentFiltered,
    ContextTooLong,
    CredentialsRefused,
    Overloaded,
    ProtocolError,
    ProviderError,
    RateLimited,
    RequestRefused,
    SpendLimitReached,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from providers.wires.upstream_errors import status_error, stream_error


def openai_body(code: Any = None, type: str = "invalid_request_error") -> bytes:
    return json.dumps({"error": {"message": "credit balance overloaded", "type": type, "code": code}}).encode()


def anthropic_body(type: str, error_code: str | None = None) -> bytes:
    details = {"details": {"error_code": error_code}} if error_code else {}
    return json.dumps({"type": "error", "error": {"type": type, "message": "m", **details}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, openai_body(), RequestRefused),
        (400, openai_body("context_length_exceeded"), ContextTooLong),
        (400, openai_body(400, "exceed_context_size_error"), ContextTooLong),
        (400, openai_body("content_policy_violation"), ContentFiltered),
        (400, openai_body("content_filter"), ContentFiltered),
        (400, anthropic_body("invalid_request_error"), RequestRefused),
        (401, openai_body("invalid_api_key"), CredentialsRefused),
        (401, anthropic_body("authentication_error"), CredentialsRefused),
        (402, anthropic_body("billing_error"), SpendLimitReached),
        (403, anthropic_body("permission_error"), CredentialsRefused),
        (404, openai_body("model_not_found"), RequestRefused),
        (408, b"", UpstreamTimeout),
        (409, b"", RequestRefused),
        (413, anthropic_body("request_too_large"), RequestRefused),
        (422, b'{"detail":[{"loc":["body"]}]}', RequestRefused),
        (429, openai_body("rate_limit_exceeded", "requests"), RateLimited),
        (429, openai_body("insufficient_quota", "insufficient_quota"), SpendLimitReached),
        (429, anthropic_body("rate_limit_error"), RateLimited),
        (429, anthropic_body("rate_limit_error", "enforced_spend_limit_reached"), SpendLimitReached),
        (500, openai_body(None, "server_error"), UpstreamUnavailable),
        (500, anthropic_body("api_error"), UpstreamUnavailable),
        (502, b"<html>Bad gateway</html>", UpstreamUnavailable),
        (503, openai_body(), Overloaded),
        (504, anthropic_body("timeout_error"), UpstreamTimeout),
        (524, b"", UpstreamUnavailable),
        (529, anthropic_body("overloaded_error"), Overloaded),
        (204, b"", ProtocolError),
        (307, b"", ProtocolError),
        (500, b'{"error":' * 20_000, UpstreamUnavailable),
        (400, b"\xff\xfe", RequestRefused),
    ],
)
def test_status_and_code_decide_and_the_free_text_does_not(status: int, body: bytes, kind: type[ProviderError]) -> None:
    error = status_error(status, {}, body)
    assert (type(error), error.status) == (kind, status)
    assert "credit" not in error.message


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("invalid_request_error", RequestRefused),
        ("authentication_error", CredentialsRefused),
        ("billing_error", SpendLimitReached),
        ("permission_error", CredentialsRefused),
        ("not_found_error", RequestRefused),
        ("rate_limit_error", RateLimited),
        ("timeout_error", UpstreamTimeout),
        ("api_error", UpstreamUnavailable),
        ("overloaded_error", Overloaded),
        ("yet_unknown_error", UpstreamUnavailable),
    ],
)
def test_inside_a_stream_the_type_decides(type_: str, kind: type[ProviderError]) -> None:
    error = stream_error({"type": "error", "error": {"type": type_, "message": "m"}})
    assert (type(error), error.status, error.provider_code) == (kind, None, type_)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "2"}, 2),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "9999999"}, 9_999_999),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "Wed, 99 Oct 2015"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert status_error(429, headers, b"").retry_after == seconds


def test_retry_after_as_a_date_counts_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.wires.upstream_errors.time.time", lambda: 1_000_000_000.0)
    date = formatdate(1_000_000_030, usegmt=True)
    assert status_error(429, {"retry-after": date}, b"").retry_after == 30


@pytest.mark.parametrize(
    ("headers", "request_id"),
    [
        ({"X-Request-ID": "req_1"}, "req_1"),
        ({"request-id": "req_2"}, "req_2"),
        ({"x-request-id": "no spaces\there"}, None),
        ({"x-request-id": "x" * 101}, None),
    ],
)
def test_the_request_id_is_kept_when_it_looks_like_one(headers: dict[str, str], request_id: str | None) -> None:
    assert status_error(500, headers, b"").request_id == request_id


def test_the_sentence_names_status_and_code() -> None:
    message = status_error(429, {}, openai_body("rate_limit_exceeded")).message
    assert message.endswith("(status 429, rate_limit_exceeded).")
