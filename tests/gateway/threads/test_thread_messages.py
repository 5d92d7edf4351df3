"""What is said in threads over HTTP: saying, replying, editing, taking back, hiding."""

from typing import Any

import pytest
from builders import Gateway, Person

pytestmark = pytest.mark.anyio

NOBODY = "01890000-0000-7000-8000-000000000000"


async def thread(person: Person, **fields: object) -> str:
    answer = await person.post("/api/threads", {"title": "Plans", "visibility": "everyone", **fields})
    return str(answer.json()["id"])


async def say(person: Person, thread_id: str, text: str = "Hello", **fields: object) -> dict[str, Any]:
    answer = await person.post(f"/api/threads/{thread_id}/messages", {"content": text, **fields})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def read(person: Person, thread_id: str) -> list[dict[str, Any]]:
    answer = await person.get(f"/api/threads/{thread_id}/messages?limit=100")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


async def test_anyone_signed_in_says_something_in_an_open_thread(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    open_, closed = await thread(ada), await thread(ada, visibility="members")
    said = await say(bob, open_, "Hello, all")
    assert said.items() >= {
        ("thread_id", open_),
        ("seq", 1),
        ("sender_id", bob.id),
        ("sender_name", "bob"),
        ("content", "Hello, all"),
        ("parent_id", None),
        ("root_id", None),
        ("deleted", False),
        ("hidden", False),
        ("edited_at", None),
    }
    assert await read(ada, open_) == [said]
    assert (await bob.post(f"/api/threads/{closed}/messages", {"text": "x"})).status_code == 404
    assert (await bob.get(f"/api/threads/{closed}/messages")).status_code == 404
    hers = await say(ada, closed)
    for answer in (
        await bob.patch(f"/api/messages/{hers['id']}", {"text": "x"}),
        await bob.delete(f"/api/messages/{hers['id']}"),
        await bob.get(f"/api/messages/{hers['id']}/replies"),
        await bob.get(f"/api/messages/{hers['id']}/revisions"),
        await bob.put(f"/api/messages/{hers['id']}/hidden"),
        await bob.get(f"/api/messages/{NOBODY}/replies"),
    ):
        assert answer.status_code == 404, answer.text


async def test_a_text_has_two_spellings(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    open_ = await thread(ada)
    path = f"/api/threads/{open_}/messages"
    assert (await ada.post(path, {"text": "by text"})).json()["content"] == "by text"
    for body in ({}, {"text": "a", "content": "a"}, {"text": " "}, {"content": "a\0"}, {"content": "a", "x": 1}):
        refused = await ada.post(path, body)
        assert refused.status_code == 400, body
    assert [message["content"] for message in await read(ada, open_)] == ["by text"]
    message = (await read(ada, open_))[0]["id"]
    assert (await ada.patch(f"/api/messages/{message}", {"text": "other"})).json()["content"] == "other"
    assert (await ada.patch(f"/api/messages/{message}", {})).status_code == 400


async def test_replies_know_their_root(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    open_, other = await thread(ada), await thread(ada)
    root = await say(ada, open_, "root")
    reply = await say(bob, open_, "reply", parent_id=root["id"])
    below = await say(ada, open_, "below", parent_id=reply["id"])
    late = await say(ada, open_, "late", parent_id=root["id"])
    assert [message["root_id"] for message in (root, reply, below, late)] == [None, root["id"], root["id"], root["id"]]
    path = f"/api/messages/{root['id']}/replies"
    assert (await bob.get(path)).json() == {"data": [reply, late], "next": None, "prev": None}
    first = (await bob.get(path, params={"limit": 1})).json()
    second = (await bob.get(path, params={"limit": 1, "after": first["next"]})).json()
    assert (first["data"], second["data"], second["next"]) == ([reply], [late], None)
    assert (await bob.get(path, params={"limit": 1, "before": second["prev"]})).json()["data"] == [reply]
    elsewhere = await ada.post(f"/api/threads/{other}/messages", {"text": "x", "parent_id": root["id"]})
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (404, "not-found")
    assert await read(ada, other) == []


async def test_an_edit_leaves_a_revision(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    open_ = await thread(ada)
    said = await say(bob, open_, "one")
    path = f"/api/messages/{said['id']}"
    for text in ("two", "two", "three"):
        edited = await bob.patch(path, {"content": text})
        assert (edited.status_code, edited.json()["content"]) == (200, text)
    assert edited.json()["edited_at"] is not None
    revisions = (await ada.get(f"{path}/revisions")).json()["data"]
    assert [(revision["number"], revision["content"]) for revision in revisions] == [(1, "one"), (2, "two")]
    first = (await ada.get(f"{path}/revisions?limit=1")).json()
    second = (await ada.get(f"{path}/revisions", params={"limit": 1, "after": first["next"]})).json()
    assert first["data"] + second["data"] == revisions
    refused = await ada.patch(path, {"content": "mine"})
    assert (refused.status_code, refused.json()["detail"]) == (403, "Only its sender may edit a message.")


async def test_who_was_made_a_viewer_may_take_back_but_not_edit(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    open_ = await thread(ada)
    said = await say(bob, open_)
    await ada.put(f"/api/threads/{open_}/members/{bob.id}", {"role": "viewer"})
    assert (await bob.patch(f"/api/messages/{said['id']}", {"text": "x"})).status_code == 403
    assert (await bob.delete(f"/api/messages/{said['id']}")).status_code == 204


async def test_a_deleted_message_keeps_its_place_and_nothing_else(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    open_ = await thread(ada)
    said = await say(bob, open_, "a secret")
    reply = await say(ada, open_, "what?", parent_id=said["id"])
    path = f"/api/messages/{said['id']}"
    await bob.patch(path, {"content": "another secret"})
    assert (await ada.delete(path)).status_code == 403
    for _ in range(2):
        assert (await bob.delete(path)).status_code == 204
    for person in (ada, bob):
        placeholder, kept = await read(person, open_)
        assert (placeholder["content"], placeholder["deleted"], placeholder["seq"]) == ("", True, 1)
        assert kept == reply
        assert (await person.get(f"{path}/revisions")).json()["data"] == []
        assert (await person.get(f"{path}/replies")).json()["data"] == [reply]
    again = await bob.patch(path, {"content": "never mind"})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert (await say(ada, open_, "gone", parent_id=said["id"]))["root_id"] == said["id"]


async def test_a_hidden_message_is_seen_by_its_sender_and_the_moderators(gateway: Gateway) -> None:
    ada, bob, eve = await gateway.person("ada"), await gateway.person("bob"), await gateway.person("eve")
    open_ = await thread(ada)
    said = await say(bob, open_, "one")
    path = f"/api/messages/{said['id']}"
    await bob.patch(path, {"content": "rude"})
    assert (await bob.put(f"{path}/hidden")).status_code == 403
    for _ in range(2):
        assert (await ada.put(f"{path}/hidden")).json()["hidden"] is True
    for person, content in ((ada, "rude"), (bob, "rude"), (eve, "")):
        [shown] = await read(person, open_)
        assert (shown["content"], shown["hidden"]) == (content, True)
    assert (await eve.get(f"{path}/revisions")).status_code == 403
    assert (await bob.get(f"{path}/revisions")).json()["data"][0]["content"] == "one"
    assert (await bob.delete(f"{path}/hidden")).status_code == 403
    assert (await ada.delete(f"{path}/hidden")).status_code == 204
    assert (await read(eve, open_))[0]["content"] == "rude"


@pytest.mark.parametrize("field", ["locked", "archived"])
async def test_in_a_closed_thread_nothing_is_said(gateway: Gateway, field: str) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    open_ = await thread(ada)
    said, other = await say(bob, open_), await say(bob, open_)
    before = (await ada.get(f"/api/threads/{open_}")).json()
    await ada.patch(f"/api/threads/{open_}", {field: True})
    for person in (ada, bob):
        refused = await person.post(f"/api/threads/{open_}/messages", {"text": "x"})
        assert (refused.status_code, refused.json()["code"]) == (409, "thread-locked")
    refused = await bob.patch(f"/api/messages/{said['id']}", {"text": "x"})
    assert (refused.status_code, refused.json()["code"]) == (409, "thread-locked")
    assert await read(bob, open_) == [said, other]
    assert (await ada.get(f"/api/threads/{open_}")).json() == {**before, field: True}
    assert (await ada.put(f"/api/messages/{said['id']}/hidden")).status_code == 200
    assert (await bob.delete(f"/api/messages/{other['id']}")).status_code == 204
    await ada.patch(f"/api/threads/{open_}", {field: False})
    assert (await say(bob, open_))["seq"] == 3


async def test_a_chats_messages_stay_as_they_were_said(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    chat = await ada.chat("plain")
    said = (await ada.post(f"/api/chats/{chat}/messages", {"content": "Hello"})).json()
    path = f"/api/messages/{said['id']}"
    for person, status in ((ada, 409), (bob, 404)):
        for answer in (
            await person.patch(path, {"text": "x"}),
            await person.delete(path),
            await person.get(f"{path}/replies"),
            await person.get(f"{path}/revisions"),
            await person.put(f"{path}/hidden"),
            await person.delete(f"{path}/hidden"),
        ):
            assert answer.status_code == status, answer.text
    assert (await ada.messages(chat))[0]["content"] == "Hello"


async def test_messages_are_paged_both_ways(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    open_ = await thread(ada)
    path = f"/api/threads/{open_}/messages"
    for _ in range(7):
        await say(ada, open_)
    newest = (await ada.get(path, params={"limit": 3})).json()
    older = (await ada.get(path, params={"limit": 3, "before": newest["prev"]})).json()
    oldest = (await ada.get(path, params={"limit": 3, "before": older["prev"]})).json()
    pages = [[message["seq"] for message in page["data"]] for page in (newest, older, oldest)]
    assert pages == [[5, 6, 7], [2, 3, 4], [1]]
    assert (newest["next"], oldest["prev"]) == (None, None)
    assert (await ada.get(path, params={"limit": 3, "after": oldest["next"]})).json()["data"] == older["data"]
    assert (await ada.get(path, params={"after": "InB3biI"})).status_code == 400


async def test_the_newest_activity_comes_first(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    first, second = await thread(ada), await thread(ada, visibility="members")
    await say(ada, first)
    listed = (await ada.get("/api/threads")).json()["data"]
    assert [item["id"] for item in listed] == [first, second]
    await ada.patch(f"/api/threads/{second}", {"title": "Renamed"})
    assert [item["id"] for item in (await ada.get("/api/threads")).json()["data"]] == [first, second]


async def test_what_was_said_outlives_its_sender(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    open_ = await thread(ada)
    said = await say(bob, open_)
    assert (await bob.delete("/api/me", {"password": "a long enough passphrase"})).status_code == 204
    assert await read(ada, open_) == [{**said, "sender_id": None, "sender_name": None}]
    assert (await ada.delete(f"/api/messages/{said['id']}")).status_code == 403


async def test_pins_are_shown_to_all_the_latest_first(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    open_ = await thread(ada)
    said = [(await say(bob, open_, text))["id"] for text in ("one", "two", "three")]
    assert (await bob.put(f"/api/messages/{said[0]}/pinned")).status_code == 403
    for message in (said[1], said[0], said[1]):
        assert (await ada.put(f"/api/messages/{message}/pinned")).json()["pinned"] is True
    path = f"/api/threads/{open_}/pinned"
    assert [message["content"] for message in (await bob.get(path)).json()["data"]] == ["one", "two"]
    assert (await ada.delete(f"/api/messages/{said[0]}/pinned")).status_code == 204
    await bob.delete(f"/api/messages/{said[1]}")
    assert (await bob.get(path)).json() == {"data": [], "next": None, "prev": None}
    refused = await ada.put(f"/api/messages/{said[1]}/pinned")
    assert (refused.status_code, refused.json()["detail"]) == (409, "This message was deleted.")
