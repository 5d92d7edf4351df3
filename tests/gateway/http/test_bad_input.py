"""Input that cannot be meant: a clear problem, and nothing changes."""

import json
from typing import Any

import pytest
from builders import Gateway

from gateway.http.paging import encode_cursor
from providers.scripted.script import Figures, Script
from providers.scripted.server import ScriptedUpstream

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({}, 400, "/content"),
        ({"content": 1}, 400, "/content"),
        ({"content": None}, 400, "/content"),
        ({"content": ""}, 400, "/content"),
        ({"content": " " * 1000}, 400, "/content"),
        ({"content": "a\0b"}, 400, "/content"),
        ({"content": "hi", "role": "system"}, 400, None),
        ({"content": "hi", "parent_id": "no id"}, 400, "/parent_id"),
        ([], 400, None),
        ("text", 400, None),
    ],
)
async def test_a_turn_needs_a_text(gateway: Gateway, body: Any, status: int, pointer: str | None) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    answer = await ada.post(f"/api/chats/{chat}/turns", body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert len(problem["detail"]) > 10
    if pointer:
        assert problem["errors"][0]["pointer"] == pointer
    assert len(await ada.messages(chat)) == 1


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff\xfe", b'{"content": "\\ud800"}', b'{"content": "x"} x', b"[" * 100_000, b"null"]
)
async def test_what_is_no_json_is_refused(gateway: Gateway, raw: bytes) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    headers = {"content-type": "application/json"}
    answer = await ada.request("POST", f"/api/chats/{chat}/turns", content=raw, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["code"] in ("invalid-json", "invalid-input")
    assert len(await ada.messages(chat)) == 1


async def test_what_is_special_elsewhere_is_plain_text_here(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    for content in ("<|endoftext|>", "{{char}} {{user}}", "\u202egnp", "\U0001f600" * 50, "a\r\nb\u2028c"):
        turn = await ada.turn(chat, content)
        assert turn["state"] == "completed"
        said = [message["content"] for message in await ada.messages(chat)]
        assert content in said


async def test_what_is_too_long_is_refused_with_its_size(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    huge = await ada.post(f"/api/chats/{chat}/turns", {"content": "a" * 1_000_000})
    assert huge.status_code == 413
    assert huge.json()["code"] == "body-too-large"
    long = await ada.post(f"/api/chats/{chat}/turns", {"content": "word " * 20_000})
    assert long.status_code == 413
    assert long.json()["code"] == "message-too-long"
    assert long.json()["parts"]["message"] > long.json()["budget"]
    assert len(await ada.messages(chat)) == 1


async def test_unknown_addresses_and_methods_are_problems_too(gateway: Gateway) -> None:
    client = gateway.client()
    missing = await client.get("/api/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "not-found")
    wrong = await client.put("/api/personas")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method-not-allowed")
    host = await client.get("/healthz", headers={"host": "evil.example"})
    assert (host.status_code, host.json()["code"]) == (400, "host-not-allowed")
    ada = await gateway.person("ada")
    for limit in ("-5", "0", "101", "x"):
        for path in ("/api/chats", "/api/history", "/api/users"):
            refused = await ada.get(f"{path}?limit={limit}")
            assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, "/limit")
    cursor = await ada.get("/api/chats?after=bogus")
    assert (cursor.status_code, cursor.json()["code"]) == (400, "invalid-input")
    assert json.loads(cursor.text)["type"] == "urn:gateway:problem:invalid-input"


async def test_places_beyond_all_lists_are_refused(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    for path, place in (
        ("/api/history", 2**31),
        ("/api/history", -1),
        ("/api/chats", (2**60, ada.id)),
        ("/api/chats", ("0001-01-01T00:00:00+14:00", ada.id)),
    ):
        cursor = encode_cursor(place)
        for direction in ("after", "before"):
            answer = await ada.get(path, params={direction: cursor})
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid-input"), (path, place)


async def test_labels_hold_no_nul_and_data_may_speak_of_one(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    for field in ("title", "channel"):
        refused = await ada.post("/api/chats", {"persona": "plain", field: "a\0b"})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, f"/{field}")
    chat = await ada.chat("plain")
    assert (await ada.patch(f"/api/chats/{chat}", {"title": "a\0"})).status_code == 400
    spoken_of = {"data": {"text about it": "\\u0000"}}
    assert (await ada.put(f"/api/chats/{chat}/context", spoken_of)).json() == spoken_of


async def test_odd_addresses_are_problems(gateway: Gateway) -> None:
    client = gateway.client()
    for path in ("/docs-assets/%00", "/docs-assets/" + "x" * 300, "/docs-assets/../x", "/assets/%00/x"):
        assert (await client.get(path)).status_code in (400, 404), path
    refused = await client.get("/healthz", headers={"host": "127.0.0.1:99999"})
    assert refused.json()["code"] == "host-not-allowed"


async def test_answers_are_not_kept_by_anybody(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat("plain")
    for answer in (
        await ada.get("/api/me"),
        await ada.get("/api/nothing"),
        await ada.post(f"/api/chats/{chat}/turns", {"content": "hi"}, headers={"accept": "text/event-stream"}),
    ):
        assert answer.headers.get_list("cache-control") == ["no-store"]
        assert answer.headers["x-frame-options"] == "DENY"


async def test_a_key_is_the_same_however_the_address_is_spelt(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat("plain")
    key = {"idempotency-key": "one"}
    answers = [
        await ada.post(f"/api/chats/{spelt}/turns", {"content": "hi"}, headers=key) for spelt in (chat, chat.upper())
    ]
    assert answers[0].json()["id"] == answers[1].json()["id"]


async def test_absurd_usage_is_not_believed(gateway: Gateway, scripted_upstream: ScriptedUpstream) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat("plain")
    scripted_upstream.enqueue(Script(reply="kept", usage=Figures(input=2**31, output=3)))
    turn = await ada.turn(chat)
    assert (turn["state"], turn["reply"]["content"], turn["usage"]["estimated"]) == ("completed", "kept", True)
