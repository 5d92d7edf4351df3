"""What operators and their machines ask."""

import asyncio
import json
import logging

import pytest
from builders import Gateway

from gateway.operations.observability import JSONFormatter
from providers.scripted.server import ScriptedUpstream

pytestmark = pytest.mark.anyio


async def test_metrics_tell_how_turns_went(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat("plain")
    await ada.turn(chat)
    async with ada.stream(chat) as source:
        assert [event async for event in source]
    told = (await ada.get("/metrics")).text
    assert 'gateway_turns_total{model="fast",persona="plain",state="completed"} 2.0' in told
    assert "gateway_overhead_seconds_count 1.0" in told
    assert 'gateway_first_content_seconds_count{model="fast"} 2.0' in told
    assert 'gateway_tokens_total{direction="input",model="fast"}' in told
    assert "gateway_running_turns 0.0" in told
    assert 'route="/api/chats/{chat_id}/turns"' in told
    assert chat not in told
    assert ada.id not in told


async def test_metrics_are_not_for_everybody(gateway: Gateway) -> None:
    root, ada = await gateway.person("root"), await gateway.person("ada")
    passed_on = {"x-forwarded-for": "203.0.113.9"}
    client = gateway.client()
    assert (await client.get("/metrics")).status_code == 200  # from this machine itself
    assert (await client.get("/metrics", headers=passed_on)).status_code == 401
    assert (await ada.get("/metrics", headers=passed_on)).status_code == 403
    assert (await root.get("/metrics", headers=passed_on)).status_code == 200


async def test_readiness_follows_the_database_and_the_drain(gateway: Gateway) -> None:
    client = gateway.client()
    assert (await client.get("/readyz")).json() == {"status": "ok", "degraded": []}
    gateway.services.turns.draining = True
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/healthz")).status_code == 200
    gateway.services.turns.draining = False
    await gateway.services.database.close()
    if "sqlite" in str(type(gateway.services.database)).lower():  # PostgreSQL's pool opens again by itself
        assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/healthz")).status_code == 200


async def test_a_request_id_goes_through_to_the_provider_and_the_log(
    gateway: Gateway, scripted_upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat("plain")
    with caplog.at_level(logging.INFO, logger="gateway.requests"):
        answer = await ada.post(f"/api/chats/{chat}/turns", {"content": "a secret thought"})
        await asyncio.sleep(0)
    request_id = answer.headers["x-request-id"]
    assert scripted_upstream.requests[-1].headers["x-request-id"] == request_id
    (record,) = [record for record in caplog.records if getattr(record, "request_id", None) == request_id]
    line = json.loads(JSONFormatter().format(record))
    assert (line["route"], line["status"], line["user_id"]) == ("/api/chats/{chat_id}/turns", 200, ada.id)
    assert "secret thought" not in caplog.text
    assert chat not in json.dumps(line)


def test_what_looks_like_a_secret_is_masked_in_the_log() -> None:
    token = "gw_ses_" + "a" * 49
    record = logging.makeLogRecord({"msg": "x", "detail": f"{token} sk-abcdefghijklmnop Bearer abcdefghijkl"})
    line = JSONFormatter().format(record)
    assert token not in line
    assert "sk-abcdefghijklmnop" not in line
    assert "Bearer abcdefghijkl" not in line
