"""The outermost layer of every request: a request id, the host that was named, one log record, the metrics.

The path that is logged and counted is the route's template, never the raw URL, which may hold what people typed.
"""

import logging
import time
from collections.abc import Collection
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.problems import MEDIA_TYPE, problem_body
from gateway.operations.metrics import Metrics
from storage.database.columns import new_id

logger = logging.getLogger("gateway.requests")

SAFE_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"x-frame-options", b"DENY"))
NOT_KEPT = (b"cache-control", b"no-store")
EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")


class Edge:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, *, allowed_hosts: Collection[str], metrics: Metrics) -> None:
        self._app = app
        self._allowed_hosts = None if "*" in allowed_hosts else frozenset(host.lower() for host in allowed_hosts)
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == ScopeType.WEBSOCKET:
            await self._app(scope, receive, send)
            return
        request_id = new_id().hex
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.perf_counter()
        status = 500
        own_headers = [(b"x-request-id", request_id.encode()), *SAFE_HEADERS]
        if scope["path"].startswith("/api/"):
            own_headers.append(NOT_KEPT)  # answers are somebody's own, and some hold a token

        async def answering(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if scope["method"] == "POST" and EVENT_STREAM in message["headers"]:
                    self._metrics.overhead.observe(time.perf_counter() - began)
                message["headers"] = [*message["headers"], *own_headers]
            await send(message)

        if self._allowed_hosts is not None and _host(scope) not in self._allowed_hosts:
            await _refuse_host(answering, request_id)
        else:
            await self._app(scope, receive, answering)
        seconds = time.perf_counter() - began
        route = str(scope.get("path_template") or "none")
        self._metrics.requests.labels(scope["method"] if route != "none" else "any", route, status).inc()
        if logger.isEnabledFor(logging.INFO):
            logger.info(
                "request",
                extra={
                    "request_id": request_id,
                    "method": scope["method"],
                    "route": route,
                    "status": status,
                    "ms": round(seconds * 1000, 1),
                    "user_id": _user_id(scope),
                },
            )


def _host(scope: Scope) -> str:
    """The host that the request names, without its port, in lower case."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1").lower()
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() and int(port[:6]) < 65536 else host


def _user_id(scope: Scope) -> str | None:
    user: Any = scope.get("user")
    found = getattr(user, "user_id", None)
    return None if found is None else str(found)


async def _refuse_host(send: Send, request_id: str) -> None:
    detail = "This gateway does not answer to that host name. An operator may add it to GATEWAY_ALLOWED_HOSTS."
    body = problem_body(400, "host-not-allowed", detail, request_id=request_id)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
