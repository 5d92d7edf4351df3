"""Mentions of people in messages of threads, over HTTP."""

import pytest
from builders import Gateway, Person

pytestmark = pytest.mark.anyio


async def thread(person: Person, visibility: str = "everyone") -> str:
    opened = await person.post("/api/threads", {"title": "Plans", "visibility": visibility})
    return f"/api/threads/{opened.json()['id']}"


async def mentioned(person: Person, path: str, text: str) -> list[str]:
    """Whom a text mentions that this person says."""
    answer = await person.post(f"{path}/messages", {"text": text})
    assert answer.status_code == 201, answer.text
    return sorted(answer.json()["mentions"])


async def test_a_name_after_an_at_mentions_who_sees_the_thread(gateway: Gateway) -> None:
    ada, bob, eve = await gateway.person("ada"), await gateway.person("Bob.B"), await gateway.person("eve")
    path = await thread(ada)
    assert await mentioned(ada, path, "Ask @bob.b. Or @EVE, or @eve!") == sorted([bob.id, eve.id])
    for text in ("@nobody", "@", "eve@example.org", "me@eve", "a@@eve", "@evelyn", "eve", "\u0130@eve"):
        assert await mentioned(ada, path, text) == [], text
    closed = await thread(ada, "members")
    await ada.put(f"{closed}/members/{bob.id}", {"role": "viewer"})
    assert await mentioned(ada, closed, "@bob.b @eve") == [bob.id]


async def test_what_mentions_one_is_counted_until_it_is_read_edited_or_hidden(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    path = await thread(ada)

    async def counted() -> tuple[int, int]:
        seen = (await bob.get(path)).json()
        return seen["unread"], seen["unread_mentions"]

    said = [(await ada.post(f"{path}/messages", {"text": text})).json()["id"] for text in ("@bob", "@bob", "x", "@ada")]
    assert await counted() == (4, 2)
    edited = await ada.patch(f"/api/messages/{said[0]}", {"text": "never mind"})
    assert edited.json()["mentions"] == []
    assert await counted() == (4, 1)
    await ada.patch(f"/api/messages/{said[2]}", {"text": "hey @bob"})
    assert await counted() == (4, 2)
    await ada.put(f"/api/messages/{said[2]}/hidden")
    assert await counted() == (3, 1)
    await ada.delete(f"/api/messages/{said[1]}")
    assert await counted() == (2, 0)
    assert (await ada.get(path)).json()["unread_mentions"] == 0
    shown = (await bob.get(f"{path}/messages")).json()["data"]
    assert [message["mentions"] for message in shown] == [[], [], [], [ada.id]]
    await bob.post(f"{path}/messages", {"text": "@ada"})
    await ada.put(f"{path}/read", {"message_id": said[0]})
    assert (await ada.get(path)).json()["unread_mentions"] == 1
