"""Reactions to messages of threads over HTTP."""

from typing import Any
from urllib.parse import quote

import pytest
from builders import Gateway, Person

from gateway.errors import InvalidInput
from gateway.threads.emoji import require_emoji

pytestmark = pytest.mark.anyio


async def said(person: Person) -> tuple[str, str]:
    """The paths of an open thread and of a message in it."""
    thread = (await person.post("/api/threads", {"title": "Plans", "visibility": "everyone"})).json()["id"]
    message = (await person.post(f"/api/threads/{thread}/messages", {"text": "Hello"})).json()["id"]
    return f"/api/threads/{thread}", f"/api/messages/{message}"


async def shown(person: Person, thread: str) -> list[dict[str, Any]]:
    return list((await person.get(f"{thread}/messages")).json()["data"][0]["reactions"])


async def test_reactions_are_counted_for_each_emoji(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    thread, message = await said(ada)
    for person, emoji in ((bob, "👍"), (ada, "🎉"), (ada, "👍"), (ada, "👍")):
        answer = await person.put(f"{message}/reactions/{quote(emoji)}")
        assert answer.status_code == 200, answer.text
    assert answer.json()["reactions"] == [
        {"emoji": "👍", "count": 2, "mine": True},
        {"emoji": "🎉", "count": 1, "mine": True},
    ]
    assert await shown(bob, thread) == [
        {"emoji": "👍", "count": 2, "mine": True},
        {"emoji": "🎉", "count": 1, "mine": False},
    ]
    for _ in range(2):
        assert (await bob.delete(f"{message}/reactions/{quote('👍')}")).status_code == 204
    assert (await shown(bob, thread))[1] == {"emoji": "👍", "count": 1, "mine": False}


async def test_only_what_is_there_to_react_to_is_reacted_to(gateway: Gateway) -> None:
    ada, bob = await gateway.person("ada"), await gateway.person("bob")
    thread, message = await said(ada)
    path = f"{message}/reactions/{quote('👍')}"
    await bob.put(path)
    await ada.put(f"{message}/hidden")
    assert (await bob.put(path)).status_code == 403
    await ada.delete(f"{message}/hidden")
    await ada.patch(thread, {"locked": True})
    for answer in (await bob.put(path), await bob.delete(path)):
        assert (answer.status_code, answer.json()["code"]) == (409, "thread-locked")
    await ada.patch(thread, {"locked": False})
    await ada.delete(message)
    assert await shown(bob, thread) == []
    assert (await bob.put(path)).status_code == 409
    assert await shown(bob, thread) == []
    assert (await bob.put(f"{message}/reactions/nice")).status_code == 400


@pytest.mark.parametrize("emoji", ["👍", "❤️", "👍🏽", "👩‍💻", "1️⃣", "🇩🇪", "‼️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"])
def test_an_emoji_is_one(emoji: str) -> None:
    assert require_emoji(emoji) == emoji


@pytest.mark.parametrize("text", ["a", "👍a", "👍 ", "1", "!", "\0", "👍" * 17, "<b>", "\u202e"])
def test_other_text_is_no_emoji(text: str) -> None:
    with pytest.raises(InvalidInput):
        require_emoji(text)
