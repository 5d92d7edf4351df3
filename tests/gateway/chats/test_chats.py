"""Chats over HTTP: opening, listing, changing, deleting, members, session data."""

import asyncio
import threading
import uuid
from typing import Any

import pytest
from builders import Gateway, serve_gateway

from gateway.errors import MessageTooLong
from gateway.settings import Settings
from providers.scripted.server import ScriptedUpstream

pytestmark = pytest.mark.anyio

NOBODY = "01890000-0000-7000-8000-000000000000"


async def test_nobody_gets_in(gateway: Gateway) -> None:
    client = gateway.client()
    for method, path in (
        ("GET", "/api/chats"),
        ("POST", "/api/chats"),
        ("GET", f"/api/chats/{NOBODY}"),
        ("PATCH", f"/api/chats/{NOBODY}"),
        ("DELETE", f"/api/chats/{NOBODY}"),
        ("GET", f"/api/chats/{NOBODY}/messages"),
        ("POST", f"/api/chats/{NOBODY}/messages"),
        ("POST", f"/api/chats/{NOBODY}/turns"),
        ("GET", f"/api/chats/{NOBODY}/context"),
        ("PUT", f"/api/chats/{NOBODY}/context"),
        ("GET", f"/api/chats/{NOBODY}/members"),
        ("PUT", f"/api/chats/{NOBODY}/members/{NOBODY}"),
        ("GET", "/api/history"),
        ("GET", "/api/personas"),
        ("GET", f"/api/turns/{NOBODY}"),
    ):
        answer = await client.request(method, path, json={} if method in ("POST", "PUT", "PATCH") else None)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["code"] == "unauthenticated"


async def test_a_chat_is_opened_renamed_and_deleted(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    chat = (await ada.post("/api/chats", {"persona": "mia", "channel": "phone"})).json()
    assert (chat["persona"], chat["channel"], chat["role"], chat["title"]) == ("mia", "phone", "owner", "")
    assert [message["content"] for message in await ada.messages(chat["id"])] == ["Hi ada"]
    assert (await ada.patch(f"/api/chats/{chat['id']}", {"title": " Plans "})).json()["title"] == "Plans"
    assert (await ada.delete(f"/api/chats/{chat['id']}")).status_code == 204
    assert (await ada.get(f"/api/chats/{chat['id']}")).status_code == 404
    assert (await ada.get("/api/history")).json()["data"] == []


async def test_a_chat_begins_with_the_chosen_greeting(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    for place, greeting in ((None, "Hi ada"), (0, "Hi ada"), (1, "Back so soon, ada?")):
        chat = await ada.chat(greeting=place)
        assert [message["content"] for message in await ada.messages(chat)] == [greeting]
    for persona, place, sentence in (
        ("mia", 2, "There is no greeting 2: Mia has 2, numbered from 0."),
        ("plain", 0, "There is no greeting 0: Plain has 0, numbered from 0."),
        ("mia", -1, ""),
    ):
        refused = await ada.post("/api/chats", {"persona": persona, "greeting": place})
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["pointer"] == "/greeting"
        assert sentence in refused.json()["detail"]
    assert len((await ada.get("/api/chats")).json()["data"]) == 3
    assert await ada.messages(await ada.chat("plain", greeting=None)) == []


async def test_the_list_is_paged_both_ways(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    chats = [await ada.chat("plain", title=str(number)) for number in range(7)]
    first = (await ada.get("/api/chats?limit=3")).json()
    assert [chat["id"] for chat in first["data"]] == chats[:3:-1]
    assert first["prev"] is None
    second = (await ada.get("/api/chats", params={"limit": 3, "after": first["next"]})).json()
    third = (await ada.get("/api/chats", params={"limit": 3, "after": second["next"]})).json()
    assert [chat["id"] for page in (first, second, third) for chat in page["data"]] == chats[::-1]
    assert third["next"] is None
    back = (await ada.get("/api/chats", params={"limit": 3, "before": third["prev"]})).json()
    assert back["data"] == second["data"]
    history = (await ada.get("/api/history")).json()["data"]
    assert [item["chat_id"] for item in history] == chats


async def test_messages_are_paged_along_the_branch(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat("plain")
    for number in range(7):
        answer = await ada.post(f"/api/chats/{chat}/messages", {"content": f"note {number}"})
        assert answer.status_code == 201
    newest = (await ada.get(f"/api/chats/{chat}/messages?limit=3")).json()
    assert [message["content"] for message in newest["data"]] == ["note 4", "note 5", "note 6"]
    assert newest["next"] is None
    older = (await ada.get(f"/api/chats/{chat}/messages", params={"limit": 3, "before": newest["prev"]})).json()
    assert [message["content"] for message in older["data"]] == ["note 1", "note 2", "note 3"]
    oldest = (await ada.get(f"/api/chats/{chat}/messages", params={"limit": 3, "before": older["prev"]})).json()
    assert [message["content"] for message in oldest["data"]] == ["note 0"]
    assert oldest["prev"] is None
    again = (await ada.get(f"/api/chats/{chat}/messages", params={"limit": 3, "after": oldest["next"]})).json()
    assert again["data"] == older["data"]


async def test_long_messages_make_short_pages_that_neither_skip_nor_repeat(settings: Settings) -> None:
    async with serve_gateway(settings.model_copy(update={"max_body_bytes": 3_000_000})) as gateway:
        ada = await gateway.person("ada")
        chat = await ada.chat("plain")
        for number, size in enumerate([*[240_000] * 11, 1_200_000, 240_000, 240_000]):
            said = await ada.post(f"/api/chats/{chat}/messages", {"content": f"{number} ".ljust(size, "x")})
            assert said.status_code == 201

        async def read(way: str, cursor: str | None) -> tuple[list[list[str]], dict[str, Any]]:
            """All pages from a cursor on, each as the numbers of its messages; and the last one as it came."""
            pages = []
            while True:
                asked = {"limit": "100", **({way: cursor} if cursor else {})}
                page = (await ada.get(f"/api/chats/{chat}/messages", params=asked)).json()
                pages.append([message["content"].split()[0] for message in page["data"]])
                cursor = page["prev" if way == "before" else "next"]
                if cursor is None:
                    return pages, page

        back, oldest = await read("before", None)
        assert back == [["12", "13"], ["11"], ["7", "8", "9", "10"], ["3", "4", "5", "6"], ["0", "1", "2"]]
        forth, _ = await read("after", oldest["next"])
        assert forth == [["3", "4", "5", "6"], ["7", "8", "9", "10"], ["11"], ["12", "13"]]


async def test_replies_are_rendered_and_harmless(gateway: Gateway, scripted_upstream: ScriptedUpstream) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat("plain")
    scripted_upstream.enqueue("**bold** <script>alert(1)</script>")
    await ada.turn(chat, "*mine*")
    asked, reply = (await ada.get(f"/api/chats/{chat}/messages?render=html")).json()["data"]
    assert "html" not in asked
    assert "<strong>bold</strong>" in reply["html"]
    assert "<script" not in reply["html"]
    assert "html" not in (await ada.messages(chat))[1]


async def test_members_read_and_speak_as_their_role_allows(gateway: Gateway) -> None:
    ada, bob, eve = await gateway.person("ada"), await gateway.person("bob"), await gateway.person("eve")
    chat = await ada.chat("plain")
    put = await ada.put(f"/api/chats/{chat}/members/{bob.id}", {"role": "participant"})
    assert put.json()["role"] == "member"
    turn = await bob.turn(chat, "from bob")
    assert turn["state"] == "completed"
    await ada.put(f"/api/chats/{chat}/members/{bob.id}", {"role": "viewer"})
    for answer in (
        await bob.post(f"/api/chats/{chat}/turns", {"content": "x"}),
        await bob.post(f"/api/chats/{chat}/messages", {"content": "x"}),
        await bob.patch(f"/api/chats/{chat}", {"title": "mine"}),
        await bob.delete(f"/api/chats/{chat}"),
        await bob.put(f"/api/chats/{chat}/members/{eve.id}", {"role": "member"}),
        await bob.put(f"/api/chats/{chat}/context", {"data": "x"}),
        await bob.post(f"/api/turns/{turn['id']}/stop"),
        await bob.post(f"/api/turns/{turn['id']}/retry"),
    ):
        assert answer.status_code == 403, answer.text
    assert (await bob.get(f"/api/chats/{chat}")).json()["role"] == "viewer"
    owner = await ada.put(f"/api/chats/{chat}/members/{ada.id}", {"role": "viewer"})
    assert owner.status_code == 409
    assert (await bob.delete(f"/api/chats/{chat}/members/{bob.id}")).status_code == 204
    assert (await bob.get(f"/api/chats/{chat}")).status_code == 404
    assert (await ada.put(f"/api/chats/{chat}/members/{uuid.uuid4()}", {})).status_code == 404


async def test_participants_are_so_many_at_most(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    refused = await ada.post("/api/chats", {"persona": "plain", "participants": [ada.id] * 51})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, "/participants")
    assert (await ada.post("/api/chats", {"persona": "plain", "participants": [ada.id] * 50})).status_code == 201


async def test_participants_take_part_from_the_start(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    chat = await ada.chat("plain", participants=[bob.id, ada.id])
    members = (await ada.get(f"/api/chats/{chat}/members")).json()["data"]
    assert [(member["username"], member["role"]) for member in members] == [("ada", "owner"), ("bob", "member")]
    assert "email" not in members[0]
    assert (await bob.get("/api/chats")).json()["data"][0]["id"] == chat
    missing = await ada.post("/api/chats", {"persona": "plain", "participants": [NOBODY]})
    assert missing.status_code == 404
    assert len((await ada.get("/api/chats")).json()["data"]) == 1


async def test_session_data_is_text_or_object_and_bounded(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat("plain", data={"city": "Ulm"})
    path = f"/api/chats/{chat}/context"
    shown = (await ada.get(path)).json()
    assert shown["data"] == {"city": "Ulm"}
    assert {segment["kind"] for segment in shown["next"]["segments"]} >= {"system", "session", "message"}
    assert (await ada.put(path, {"data": "just text"})).json() == {"data": "just text"}
    assert (await ada.get(path)).json()["data"] == "just text"
    large = await ada.put(path, {"data": "x" * 20_000})
    assert large.status_code == 400
    assert (await ada.put(path, {"data": {"a": "\0"}})).status_code == 400
    assert (await ada.get(path)).json()["data"] == "just text"


async def test_personas_are_listed_to_those_who_may_use_them(gateway: Gateway) -> None:
    await gateway.person("root")
    ada, mod = await gateway.person("ada"), await gateway.person("mod", role="moderator")
    listed = {persona["id"]: persona for persona in (await ada.get("/api/personas")).json()["data"]}
    assert "staff" not in listed
    assert listed["mia"]["greetings"] == ["Hi ada", "Back so soon, ada?"]
    assert listed["mia"]["availability"]["readiness"] == "ready"
    assert listed["claude"]["availability"]["readiness"] == "no_key"
    assert (await ada.get("/api/personas/staff")).status_code == 404
    refused = await ada.post("/api/chats", {"persona": "staff"})
    assert refused.status_code == 404
    assert (await mod.get("/api/personas/staff")).status_code == 200
    unknown = await ada.post("/api/chats", {"persona": "mya"})
    assert unknown.status_code == 404
    assert "'mia'" in unknown.json()["detail"]


async def test_a_withheld_prompt_is_withheld(gateway: Gateway) -> None:
    root = await gateway.person("root")
    mod = await gateway.person("mod", role="moderator")
    chat = await mod.chat("staff")
    turn = await mod.turn(chat)
    manifest = (await mod.get(f"/api/turns/{turn['id']}/context")).json()
    assert "messages" not in manifest
    assert "You serve" not in str(manifest)
    assert manifest["segments"][0]["kind"] == "system"
    seen_by_operator = (await root.get(f"/api/turns/{turn['id']}/context")).json()
    assert seen_by_operator["messages"][0]["content"] == "You serve moderators."
    assert "You serve" not in (await mod.get(f"/api/chats/{chat}/context")).text


async def test_a_preview_holds_nobody_up(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat("plain")
    begun, others = threading.Event(), threading.Event()

    def slow(*_: Any) -> None:
        begun.set()
        assert others.wait(5)
        raise MessageTooLong("as slow as a long chat")

    monkeypatch.setattr("gateway.chats.previewing.assemble", slow)
    asking = asyncio.create_task(ada.get(f"/api/chats/{chat}/context"))
    assert await asyncio.to_thread(begun.wait, 5)
    assert (await asyncio.wait_for(gateway.client().get("/healthz"), 4)).status_code == 200
    others.set()
    assert (await asking).json() == {"data": {}, "next": None}
