"""What browsers elsewhere may do: nothing, unless the operator names their origin."""

from pathlib import Path

import msgspec
import pytest
from builders import Gateway, serve_gateway
from pydantic import ValidationError

from gateway.settings import Settings

pytestmark = pytest.mark.anyio

HERE, ELSEWHERE = "https://app.example.org", "https://evil.example.org"
ASKED = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,idempotency-key,last-event-id",
}


async def test_a_named_origin_may_call_with_our_headers(settings: Settings) -> None:
    async with serve_gateway(settings.model_copy(update={"cors_origins": (HERE,)})) as gateway:
        client = gateway.client()
        allowed = await client.options("/api/chats", headers={"origin": HERE, **ASKED})
        assert allowed.headers["access-control-allow-origin"] == HERE
        assert allowed.headers["access-control-allow-credentials"] == "true"
        names = allowed.headers["access-control-allow-headers"].lower()
        assert all(name in names for name in ("authorization", "last-event-id", "idempotency-key"))
        refused = await client.options("/api/chats", headers={"origin": ELSEWHERE, **ASKED})
        assert "access-control-allow-origin" not in refused.headers
        answer = await client.get("/api/setup", headers={"origin": HERE})
        exposed = answer.headers["access-control-expose-headers"].lower()
        assert all(name in exposed for name in ("x-request-id", "retry-after", "x-should-retry"))


async def test_no_origin_is_allowed_by_default(gateway: Gateway) -> None:
    answer = await gateway.client().get("/api/setup", headers={"origin": HERE})
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_stream_is_readable_from_a_named_origin(settings: Settings) -> None:
    async with serve_gateway(settings.model_copy(update={"cors_origins": (HERE,)})) as gateway:
        ada = await gateway.person("ada")
        chat = await ada.chat("plain")
        headers = {"origin": HERE, "accept": "text/event-stream"}
        answer = await ada.post(f"/api/chats/{chat}/turns", {"content": "hi"}, headers=headers)
        assert answer.headers["access-control-allow-origin"] == HERE


def test_every_origin_at_once_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="name the origins"):
        Settings(data_dir=tmp_path, cors_origins="*")  # type: ignore[arg-type]


async def test_only_known_hosts_are_answered(settings: Settings) -> None:
    async with serve_gateway(settings.model_copy(update={"allowed_hosts": ("chat.example.org",)})) as gateway:
        client = gateway.client()
        for host in ("chat.example.org", "CHAT.example.org:8000"):
            assert (await client.get("/healthz", headers={"host": host})).status_code == 200
        for host in ("127.0.0.1", "evil.example.org", "chat.example.org.evil.example.org", "x/?", "[::1]"):
            refused = await client.get("/healthz", headers={"host": host})
            assert refused.status_code == 400
            assert msgspec.json.decode(refused.content)["code"] == "host-not-allowed"
