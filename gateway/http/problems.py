"""How what went wrong is answered: one table from exception classes to problem details (RFC 9457).

Every error body of the native API is `application/problem+json` with `type, title, status, detail, code, request_id`
and what the error adds (`errors`, `turn_id`, ...). A handler never builds one itself.
"""

import logging
import math
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    SerializationException,
    ValidationException,
)
from litestar.types import ExceptionHandlersMap

from gateway import errors
from personas.errors import UnknownPersona
from providers.errors import NoKey, ProviderError
from storage import errors as storage_errors

logger = logging.getLogger("gateway")

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[Exception], int] = {
    errors.Unauthenticated: 401,
    errors.NotPermitted: 403,
    errors.CrossSite: 403,
    errors.SignupClosed: 403,
    errors.InvalidInput: 400,
    errors.MessageTooLong: 413,
    errors.PersonaUnavailable: 409,
    errors.TooManyRequests: 429,
    errors.Unavailable: 503,
    UnknownPersona: 404,
    NoKey: 503,
    ProviderError: 502,
    storage_errors.NotFound: 404,
    storage_errors.Forbidden: 403,
    storage_errors.Conflict: 409,
    storage_errors.KeyReused: 422,
    storage_errors.AllowanceSpent: 429,
    storage_errors.WrongKey: 503,
    storage_errors.StorageUnavailable: 503,
}
"""An exception's status is that of its nearest class here; a test finds classes of ours that have none."""


def problem_body(status: int, code: str, detail: str, *, request_id: str, **extra: Any) -> bytes:
    """A problem as JSON; what is None of `extra` is left out."""
    return msgspec.json.encode(
        {
            "type": f"urn:gateway:problem:{code}",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "code": code,
            "request_id": request_id,
            **{name: value for name, value in extra.items() if value is not None},
        }
    )


def _problem(
    request: Request[Any, Any, Any],
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **extra: Any,
) -> Response[bytes]:
    body = problem_body(status, code, detail, request_id=_request_id(request), **extra)
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def status_of(error: Exception) -> int:
    """The status with which this error is answered; 500 for what nobody foresaw."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def _answer(request: Request[Any, Any, Any], error: Any) -> Response[bytes]:
    status = status_of(error)
    headers: dict[str, str] = {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(retry_after)))
    extra = dict(getattr(error, "extra", {}))
    if isinstance(error, storage_errors.AlreadyTaken):
        extra["errors"] = [{"pointer": f"/{error.field}", "message": error.message}]
    if isinstance(error, storage_errors.TurnRunning):
        extra["turn_id"] = error.turn_id
        headers["x-should-retry"] = "false"
    return _problem(request, status, error.code, getattr(error, "message", str(error)), headers, **extra)


_HUNG_UP = "client disconnected prematurely"
"""How Litestar says, with a 500, that a client left before its request was whole: nothing for anybody to look into."""


def _answer_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    if error.detail == _HUNG_UP:
        return _problem(request, 408, "request-timeout", "The body did not come as a whole. Send it again.")
    if error.status_code >= 500:
        return _answer_unforeseen(request, error)
    code, detail, extra = "http-error", error.detail, {}
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        code, detail = "invalid-input", "The request is not valid."
        extra["errors"] = [_pointed(one) for one in error.extra]
        if len(extra["errors"]) == 1:
            detail = "The request is not valid: {pointer}: {message}.".format(**extra["errors"][0])
    elif isinstance(error.__cause__, SerializationException) or error.status_code == 400:
        code, detail = "invalid-json", "The body is not valid JSON in UTF-8."
    elif isinstance(error, NotFoundException):
        code, detail = "not-found", "There is nothing at this address."
    elif isinstance(error, MethodNotAllowedException):
        code, detail = "method-not-allowed", f"{request.method} is not possible here."
    elif error.status_code == 413:
        code, detail = "body-too-large", "The body is too large. `GATEWAY_MAX_BODY_BYTES` is the limit."
    return _problem(request, error.status_code, code, detail, error.headers, **extra)


def _answer_nested(request: Request[Any, Any, Any], error: RecursionError) -> Response[bytes]:
    return _problem(request, 400, "invalid-json", "The body is nested too deeply.")


def _answer_unforeseen(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    logger.error("unforeseen error", exc_info=error, extra={"request_id": _request_id(request)})
    detail = "Something went wrong on our side. The log tells more under this request id."
    return _problem(request, 500, "internal-error", detail)


_NAMED_FIELD = re.compile(r"Object (?:missing required|contains unknown) field `([^`]+)`")


def _pointed(one: Mapping[str, Any]) -> dict[str, str]:
    """Where the fault is, as a JSON pointer; the decoder names a missing or unknown field in its message only."""
    key, message = str(one.get("key", "")), str(one.get("message", "")).rstrip(".")
    path = [] if key in ("", "data") else key.split(".")
    if named := _NAMED_FIELD.match(message):
        path.append(named[1])
    return {"pointer": "/" + "/".join(path), "message": message}


def _request_id(request: Request[Any, Any, Any]) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


HANDLERS: ExceptionHandlersMap = {
    errors.GatewayError: _answer,
    storage_errors.StorageError: _answer,
    ProviderError: _answer,
    UnknownPersona: _answer,
    HTTPException: _answer_http,
    RecursionError: _answer_nested,
    Exception: _answer_unforeseen,
}
