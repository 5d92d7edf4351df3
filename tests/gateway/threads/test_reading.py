"""How far one has read in a thread, and who looked at it, over HTTP."""

from typing import Any

import pytest
from builders import Gateway, Person

pytestmark = pytest.mark.anyio

NOBODY = "01890000-0000-7000-8000-000000000000"


async def thread(person: Person) -> str:
    answer = await person.post("/api/threads", {"title": "Plans", "visibility": "everyone"})
    return f"/api/threads/{answer.json()['id']}"


async def say(person: Person, path: str) -> str:
    return str((await person.post(f"{path}/messages", {"text": "Hello"})).json()["id"])


async def counts(person: Person, path: str) -> tuple[int, int]:
    seen = (await person.get(path)).json()
    [listed] = (await person.get("/api/threads")).json()["data"]
    assert listed == seen
    return seen["last_read_seq"], seen["unread"]


async def log(person: Person, path: str) -> list[dict[str, Any]]:
    return list((await person.get(f"{path}/access-log")).json()["data"])


async def test_what_others_say_is_unread_until_it_is_read(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    path = await thread(ada)
    said = [await say(ada if number % 3 else bob, path) for number in range(6)]
    assert (await counts(ada, path), await counts(bob, path)) == ((0, 2), (0, 4))
    read = await bob.put(f"{path}/read", {"message_id": said[4]})
    assert (read.status_code, read.json()["last_read_seq"], read.json()["unread"]) == (200, 5, 1)
    assert (await bob.put(f"{path}/read", {"message_id": said[0]})).json()["last_read_seq"] == 5
    await ada.delete(f"/api/messages/{said[5]}")
    assert await counts(bob, path) == (5, 0)
    for missing in (await say(ada, await thread(ada)), NOBODY):
        assert (await bob.put(f"{path}/read", {"message_id": missing})).status_code == 404
    assert (await bob.put(f"{path}/read", {})).status_code == 400


async def test_reading_is_logged_for_the_owner(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    path = await thread(ada)
    await bob.get(f"{path}/messages")
    [entry] = await log(ada, path)
    assert entry.items() >= {("user_id", bob.id), ("username", "bob"), ("message_id", None)}
    said = [await say(ada, path) for _ in range(3)]
    await bob.get(f"{path}/messages")
    assert [entry["message_id"] for entry in await log(ada, path)] == [said[2]]
    await bob.get(f"{path}/messages?limit=1")
    await ada.get(f"{path}/messages")
    assert [entry["username"] for entry in await log(ada, path)] == ["ada", "bob"]
    assert (await bob.get(f"{path}/access-log")).status_code == 403
    first = (await ada.get(f"{path}/access-log?limit=1")).json()
    second = (await ada.get(f"{path}/access-log", params={"limit": 1, "after": first["next"]})).json()
    assert (first["prev"], second["next"]) == (None, None)
    assert (first["data"] + second["data"]) == await log(ada, path)
    back = (await ada.get(f"{path}/access-log", params={"limit": 1, "before": second["prev"]})).json()
    assert back["data"] == first["data"]


async def test_a_client_reports_a_look_itself(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    path = await thread(ada)
    said = await say(ada, path)
    reported = await bob.post(f"{path}/access-log", {"message_id": said})
    assert reported.status_code == 201
    assert await log(ada, path) == [reported.json()]
    assert (await bob.post(f"{path}/access-log", {})).json() == reported.json()
    assert (await bob.post(f"{path}/access-log", {"message_id": NOBODY})).status_code == 404
    assert len(await log(ada, path)) == 1


async def test_what_a_person_read_goes_with_their_account(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    path = await thread(ada)
    said = await say(ada, path)
    await bob.get(f"{path}/messages")
    await bob.put(f"{path}/read", {"message_id": said})
    assert (await bob.delete("/api/me", {"password": "a long enough passphrase"})).status_code == 204
    assert await log(ada, path) == []
