"""The straight line of a turn, over real HTTP, on both databases."""

import asyncio
import json

import pytest
from builders import Gateway, text_of

from providers.scripted.faults import FAULTS
from providers.scripted.script import FOREVER, Script
from providers.scripted.server import ScriptedUpstream

pytestmark = pytest.mark.anyio


async def test_a_turn_streams_and_is_kept(gateway: Gateway, scripted_upstream: ScriptedUpstream) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    scripted_upstream.enqueue(Script(reply=["Hel", "lo ", "Ada"], gap=0.01))
    async with ada.stream(chat, "Who are you?") as source:
        events = [event async for event in source]
    assert events[0].event == "turn.started"
    assert events[-1].event == "turn.completed"
    assert text_of(events) == "Hello Ada"
    assert [int(event.id.split(".")[1]) for event in events] == list(range(len(events)))
    turn = json.loads(events[-1].data)
    assert turn["reply"]["content"] == "Hello Ada"
    assert (await ada.get(f"/api/turns/{turn['id']}")).json() == turn
    said = await ada.messages(chat)
    assert [(message["role"], message["content"]) for message in said] == [
        ("assistant", "Hi ada"),
        ("user", "Who are you?"),
        ("assistant", "Hello Ada"),
    ]
    assert said[2]["turn_id"] == turn["id"]
    assert said[2]["persona_digest"] == turn["persona_digest"]
    sent = scripted_upstream.requests[-1].json["messages"]
    assert [message["content"] for message in sent] == ["You are Mia.", "Hi ada", "Who are you?"]


async def test_json_waits_for_the_turn(gateway: Gateway, scripted_upstream: ScriptedUpstream) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    scripted_upstream.enqueue("One")
    turn = await ada.turn(chat)
    assert turn["state"] == "completed"
    assert turn["reply"]["content"] == "One"
    assert (await ada.get(f"/api/chats/{chat}")).json()["title"] == "Hello"


async def test_a_second_turn_while_one_runs_is_refused_with_its_id(
    gateway: Gateway, scripted_upstream: ScriptedUpstream
) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    scripted_upstream.enqueue(Script(reply=["a", "b"], gap=FOREVER))
    async with ada.stream(chat) as source:
        started = json.loads((await anext(source)).data)
        answers = await asyncio.gather(*[ada.post(f"/api/chats/{chat}/turns", {"content": "x"}) for _ in range(16)])
        assert {answer.status_code for answer in answers} == {409}
        assert {answer.json()["turn_id"] for answer in answers} == {started["turn_id"]}
        assert answers[0].headers["x-should-retry"] == "false"
        assert (await ada.post(f"/api/turns/{started['turn_id']}/stop")).status_code == 202
        rest = [event async for event in source]
    assert rest[-1].event == "turn.stopped"
    assert len(await ada.messages(chat)) == 3


async def test_stop_keeps_the_text_and_closes_the_upstream(
    gateway: Gateway, scripted_upstream: ScriptedUpstream
) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    scripted_upstream.enqueue(Script(reply=["so far", "never"], gap=FOREVER))
    async with ada.stream(chat) as source:
        started = json.loads((await anext(source)).data)
        assert (await anext(source)).event == "reply.delta"
        await ada.post(f"/api/turns/{started['turn_id']}/stop")
        last = [event async for event in source][-1]
    assert last.event == "turn.stopped"
    assert json.loads(last.data)["reply"]["content"] == "so far"
    await asyncio.sleep(0.2)
    assert scripted_upstream.running == 0
    assert (await ada.messages(chat))[-1]["state"] == "stopped"
    assert (await ada.turn(chat, "go on"))["state"] == "completed"


async def test_a_client_that_leaves_does_not_stop_the_turn(
    gateway: Gateway, scripted_upstream: ScriptedUpstream
) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    scripted_upstream.enqueue(Script(reply=list("abcdefgh"), gap=0.03))
    async with ada.stream(chat) as source:
        seen = [await anext(source), await anext(source), await anext(source)]
    turn_id = json.loads(seen[0].data)["turn_id"]
    path = f"/api/turns/{turn_id}/events"
    async with ada.events("GET", path, headers={"last-event-id": seen[-1].id}) as source:
        rest = [event async for event in source]
    assert text_of(seen + rest) == "abcdefgh"
    assert [int(event.id.split(".")[1]) for event in seen + rest] == list(range(len(seen + rest)))
    again = await ada.get(path, headers={"last-event-id": rest[-1].id})
    assert again.status_code == 204
    async with ada.events("GET", path, headers={"last-event-id": seen[-1].id}) as source:
        stored = [event async for event in source]
    assert [event.event for event in stored] == ["turn.snapshot", "turn.completed"]
    assert text_of(stored) == "abcdefgh"
    assert stored[-1].id == rest[-1].id


async def test_an_idempotency_key_opens_one_turn(gateway: Gateway, scripted_upstream: ScriptedUpstream) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    scripted_upstream.default = Script(reply=["a", "b", "c"], gap=0.05)
    path = f"/api/chats/{chat}/turns"
    key = {"idempotency-key": "one"}
    answers = await asyncio.gather(*[ada.post(path, {"content": "Hello"}, headers=key) for _ in range(16)])
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(scripted_upstream.requests) == 1
    other = await ada.post(path, {"content": "Other"}, headers=key)
    assert other.status_code == 422
    assert other.json()["code"] == "idempotency-key-reused"


async def test_retry_and_edit_make_siblings(gateway: Gateway, scripted_upstream: ScriptedUpstream) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    scripted_upstream.enqueue("first", "second", "third")
    first = await ada.turn(chat, "question")
    second = (await ada.post(f"/api/turns/{first['id']}/retry")).json()
    assert second["reply"]["content"] == "second"
    assert second["user_message_id"] == first["user_message_id"]
    greeting, question, reply = await ada.messages(chat)
    assert reply["siblings"] == [first["reply"]["id"], second["reply"]["id"]]
    third = await ada.turn(chat, "edited", parent_id=greeting["id"])
    said = await ada.messages(chat)
    assert [message["content"] for message in said] == ["Hi ada", "edited", "third"]
    assert said[1]["siblings"] == [question["id"], third["user_message_id"]]
    changed = await ada.patch(f"/api/chats/{chat}", {"active_leaf": first["reply"]["id"]})
    assert changed.json()["active_leaf"] == first["reply"]["id"]
    assert [message["content"] for message in await ada.messages(chat)] == ["Hi ada", "question", "first"]
    await ada.patch(f"/api/chats/{chat}", {"active_leaf": question["id"]})
    assert [message["content"] for message in await ada.messages(chat)] == ["Hi ada", "question", "second"]


async def test_a_failed_turn_says_why_and_leaves_no_text_in_later_contexts(
    gateway: Gateway, scripted_upstream: ScriptedUpstream
) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat("plain")
    scripted_upstream.enqueue(FAULTS["error-event"], "fine")
    turn = await ada.turn(chat, "one")
    assert turn["state"] == "failed"
    assert turn["error"]["code"].startswith("upstream-")
    assert (await ada.turn(chat, "two"))["state"] == "completed"
    sent = [message["content"] for message in scripted_upstream.requests[-1].json["messages"]]
    assert sent[0] == "You are plain."
    assert "one" in sent[1]
    assert "two" in sent[-1]
    assert turn["reply"]["content"] not in sent


async def test_a_fallback_answers_when_the_model_does_not(
    gateway: Gateway, scripted_upstream: ScriptedUpstream
) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat("backed")
    scripted_upstream.enqueue(Script(status=400, error=("invalid_request_error", None)), "from the spare")
    turn = await ada.turn(chat)
    assert turn["state"] == "completed"
    assert turn["model"] == "spare"
    assert turn["notices"]
    assert [request.json["model"] for request in scripted_upstream.requests] == ["some-model", "spare-model"]


async def test_others_see_nothing(gateway: Gateway, scripted_upstream: ScriptedUpstream) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    chat = await ada.chat()
    turn = await ada.turn(chat)
    for method, path in (
        ("GET", f"/api/chats/{chat}"),
        ("GET", f"/api/chats/{chat}/messages"),
        ("GET", f"/api/chats/{chat}/context"),
        ("GET", f"/api/chats/{chat}/members"),
        ("DELETE", f"/api/chats/{chat}"),
        ("GET", f"/api/turns/{turn['id']}"),
        ("GET", f"/api/turns/{turn['id']}/events"),
        ("GET", f"/api/turns/{turn['id']}/context"),
        ("POST", f"/api/turns/{turn['id']}/stop"),
        ("POST", f"/api/turns/{turn['id']}/retry"),
    ):
        answer = await bob.request(method, path)
        assert answer.status_code == 404, (method, path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await bob.post(f"/api/chats/{chat}/turns", {"content": "hi"})).status_code == 404
    mine = await bob.chat()
    stolen = await bob.post(f"/api/chats/{mine}/turns", {"content": "x", "parent_id": turn["reply"]["id"]})
    assert stolen.status_code == 404
    assert len(await ada.messages(chat)) == 3


async def test_the_manifest_tells_what_was_sent(gateway: Gateway, scripted_upstream: ScriptedUpstream) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    await ada.put(f"/api/chats/{chat}/context", {"data": {"city": "Ulm"}})
    await ada.turn(chat, "one")
    turn = await ada.turn(chat, "two")
    manifest = (await ada.get(f"/api/turns/{turn['id']}/context")).json()
    assert manifest["messages"] == scripted_upstream.requests[-1].json["messages"]
    assert sum(segment["tokens"] for segment in manifest["segments"] if segment["kept"]) == manifest["total_tokens"]
    assert manifest["total_tokens"] <= manifest["budget"]
    assert "session" in {segment["kind"] for segment in manifest["segments"]}
