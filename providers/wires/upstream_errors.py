"""The one table from what an upstream answers to what it means: a status and the provider's own codes, nothing else.

The free text of an answer is never read (a prompt about credit cards must not look like an unpaid bill) and never
quoted (it may echo the key). Codes are from OpenAI's and Anthropic's error references and from what vLLM and
llama.cpp answer on the same wires.
"""

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

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

_SENTENCES: dict[type[ProviderError], str] = {
    CredentialsRefused: "The provider does not accept the gateway's key; an operator can set another one",
    RateLimited: "The provider asks the gateway to slow down; try again in a moment",
    SpendLimitReached: "The account behind the gateway's key is used up; an operator has to raise its limit",
    Overloaded: "The provider has too much to do; try again in a moment",
    UpstreamUnavailable: "The provider failed on its side; try again in a moment",
    UpstreamTimeout: "The provider ran out of time; try again in a moment",
    ContextTooLong: "The provider counts more tokens than the model's window holds; start a new chat or shorten it",
    ContentFiltered: "The provider refused this prompt for its content",
    RequestRefused: "The provider does not accept this request",
    ProtocolError: "The provider answered with something other than a reply",
}

_BY_CODE: dict[str, type[ProviderError]] = {
    # Codes that say more than their status does; they win over it.
    "insufficient_quota": SpendLimitReached,
    "billing_hard_limit_reached": SpendLimitReached,
    "billing_not_active": SpendLimitReached,
    "contract_spend_limit_reached": SpendLimitReached,
    "enforced_spend_limit_reached": SpendLimitReached,
    "linked_organization_spend_limit_reached": SpendLimitReached,
    "linked_organization_billing_unavailable": SpendLimitReached,
    "context_length_exceeded": ContextTooLong,
    "exceed_context_size_error": ContextTooLong,
    "content_filter": ContentFiltered,
    "content_policy_violation": ContentFiltered,
    "moderation_blocked": ContentFiltered,
    "invalid_api_key": CredentialsRefused,
}

_BY_TYPE: dict[str, type[ProviderError]] = {
    # Broad types; they decide only inside a stream, where there is no status.
    "authentication_error": CredentialsRefused,
    "permission_error": CredentialsRefused,
    "billing_error": SpendLimitReached,
    "rate_limit_error": RateLimited,
    "rate_limit_exceeded": RateLimited,
    "overloaded_error": Overloaded,
    "unavailable_error": Overloaded,
    "service_unavailable_error": Overloaded,
    "timeout_error": UpstreamTimeout,
    "invalid_request_error": RequestRefused,
    "not_found_error": RequestRefused,
    "request_too_large": RequestRefused,
    "BadRequestError": RequestRefused,
}

_BY_STATUS: dict[int, type[ProviderError]] = {
    401: CredentialsRefused,
    402: SpendLimitReached,
    403: CredentialsRefused,
    408: UpstreamTimeout,
    429: RateLimited,
    503: Overloaded,
    504: UpstreamTimeout,
    529: Overloaded,
}

_CODE = re.compile(r"[A-Za-z][A-Za-z_.]{0,63}", re.ASCII)  # no digits, no hyphens: an echoed key does not pass
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)


def status_error(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """The error that a whole response stands for. `headers` may be spelled in any case."""
    lower = {name.lower(): value for name, value in headers.items()}
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        answer = None  # a proxy's HTML page, or nothing
    codes, _ = _codes(answer)
    request_id = lower.get("x-request-id") or lower.get("request-id") or ""
    return _error(
        _class_of(status, codes, lower),
        status=status,
        codes=codes,
        request_id=request_id if _REQUEST_ID.fullmatch(request_id) else None,
        retry_after=_retry_after(lower),
    )


def stream_error(answer: Any) -> ProviderError:
    """The error that a decoded event inside a stream stands for; some servers put a status into its `code`."""
    codes, status = _codes(answer)
    for code in codes:
        if code in _BY_CODE or code in _BY_TYPE:
            return _error(_BY_CODE.get(code) or _BY_TYPE[code], status=status, codes=codes)
    kind = _class_of(status, codes, {}) if status else UpstreamUnavailable
    return _error(kind, status=status, codes=codes)


def _class_of(status: int, codes: list[str], headers: Mapping[str, str]) -> type[ProviderError]:
    if status < 400:
        return ProtocolError  # an empty 204, or a redirect, which is never followed with a key in hand
    for code in codes:
        if code in _BY_CODE:
            return _BY_CODE[code]
    return _BY_STATUS.get(status) or (RequestRefused if status < 500 else UpstreamUnavailable)


def _codes(answer: Any) -> tuple[list[str], int | None]:
    """The codes of `{"error": {"code", "type", "details": {"error_code"}}}`, most telling first, and a status."""
    error = answer.get("error", answer) if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return [], None
    details = error.get("details")
    found = [details.get("error_code") if isinstance(details, dict) else None, error.get("code"), error.get("type")]
    code = error.get("code")
    status = code if isinstance(code, int) and 400 <= code <= 599 else None
    return [code for code in found if isinstance(code, str) and _CODE.fullmatch(code)], status


def _error(
    kind: type[ProviderError],
    *,
    status: int | None,
    codes: list[str],
    request_id: str | None = None,
    retry_after: float | None = None,
) -> ProviderError:
    facts = [*([f"status {status}"] if status else []), *codes[:1]]
    return kind(
        _SENTENCES[kind] + (f" ({', '.join(facts)})." if facts else "."),
        status=status,
        provider_code=codes[0] if codes else None,
        request_id=request_id,
        retry_after=retry_after,
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from now, out of `retry-after-ms`, or `retry-after` as seconds or as an HTTP date (RFC 9110)."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value, re.ASCII):
            return float(value) * scale
    try:
        moment = parsedate_to_datetime(headers.get("retry-after", "")).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, moment - time.time())
