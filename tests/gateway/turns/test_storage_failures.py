"""The database fails at any one call of a turn, before or after its work: a clear 503, or a turn that ends well."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from builders import Gateway, Person, serve_gateway
from sqlalchemy import Connection, text
from turn_streams import ended_well, is_terminal, whole

from gateway.settings import Settings
from gateway.turns import running
from providers.scripted.script import Script
from providers.scripted.server import ScriptedUpstream
from storage.errors import StorageUnavailable

pytestmark = pytest.mark.anyio

CALLS = range(1, 10)
"""The calls of a turn, one after another; how many passes keep its partial text differs from run to run."""

UNITS = {"begin_turn", "keep_partial_texts", "finish_turn"}
"""Those that a turn cannot do without: each is hit for certain."""


class Failing:
    """Makes one call of a database fail: `at` counts down the calls of requests, or those of units of one `name`."""

    BACKGROUND = ("interrupt_abandoned", "forget_full_allowances", "forget_old_keys", "forget_expired_credentials")

    def __init__(self, gateway: Gateway) -> None:
        self.at = 0
        self.after = False
        self.name = ""
        self.hit: list[str] = []
        self._database = gateway.services.database
        for name in ("read", "write", "write_long"):
            setattr(self._database, name, self._wrapped(getattr(self._database, name)))

    def _wrapped(self, call: Any) -> Any:
        async def calling(unit: Any, *args: Any, **kwargs: Any) -> Any:
            name = getattr(unit, "__name__", "")
            if not self.at or name in self.BACKGROUND or not name.startswith(self.name):
                return await call(unit, *args, **kwargs)
            self.at -= 1
            if self.at:
                return await call(unit, *args, **kwargs)
            self.hit.append(name)
            if self.after:  # done, and then the connection broke before we heard of it
                await call(unit, *args, **kwargs)
            raise StorageUnavailable("The database does not answer. Try again in a moment.")

        return calling


@pytest.fixture
async def fragile(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Gateway, Failing]]:
    monkeypatch.setattr(running, "LEASE", timedelta(seconds=3))
    monkeypatch.setattr(running, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(running, "KEEP_EVERY", 0.05)
    monkeypatch.setattr(running, "KEEP_SHARE", 1.0)  # also where the machine is slow, a pass comes while a turn runs
    async with serve_gateway(settings.model_copy(update={"concurrent_turns": 50})) as gateway:
        yield gateway, Failing(gateway)


CONTRADICTIONS = {
    "a turn and its reply differ": """
        SELECT turn.id FROM turn JOIN message ON message.id = reply_message_id WHERE turn.state != message.state""",
    "a reply without its turn": """
        SELECT id FROM message WHERE role = 'assistant' AND parent_id IS NOT NULL
        AND id NOT IN (SELECT reply_message_id FROM turn)""",
    "numbers with gaps": """
        SELECT conversation.id FROM conversation JOIN message ON conversation_id = conversation.id
        GROUP BY conversation.id, last_seq HAVING count(DISTINCT seq) != last_seq OR max(seq) != last_seq""",
    "completed, though nobody said so": """
        SELECT id FROM turn WHERE state = 'completed' AND (finish_reason IS NULL OR ended_at IS NULL)""",
    "a branch that ends nowhere": """
        SELECT conversation_id FROM chat_session WHERE active_leaf NOT IN (SELECT id FROM message)""",
}


def inconsistent(connection: Connection) -> list[str]:
    """What is wrong with the rows; nothing should be."""
    return [wrong for wrong, query in CONTRADICTIONS.items() if connection.execute(text(query)).all()]


async def require_sound(gateway: Gateway, person: Person, chat: str) -> None:
    """Nothing contradicts itself, nothing stays running, and the chat goes on."""
    database = gateway.services.database
    assert await database.read(inconsistent) == []
    end = asyncio.get_running_loop().time() + 30
    while (answer := await person.post(f"/api/chats/{chat}/turns", {"content": "Go on"})).status_code == 409:
        assert asyncio.get_running_loop().time() < end, "a turn stays running"
        await asyncio.sleep(0.05)
    assert answer.json()["state"] == "completed", answer.text
    assert await database.read(inconsistent) == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_streamed_turn_with_any_one_call_failing(
    fragile: tuple[Gateway, Failing], scripted_upstream: ScriptedUpstream, after: bool
) -> None:
    gateway, failing = fragile
    ada = await gateway.person("ada")
    hit = set()
    for call, name in [*((call, "") for call in CALLS), *((1, name) for name in UNITS)]:
        chat = await ada.chat()
        scripted_upstream.default = Script(reply=("a", "b", "c"), gap=0.1)
        gateway.services.accounts.authenticator.forget(UUID(ada.id))
        failing.at, failing.name, failing.after, failing.hit = call, name, after, []
        status, events = 200, []
        try:
            async with ada.stream(chat) as source:
                events = await whole(source)
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
        failing.at = 0
        hit.update(failing.hit)
        scripted_upstream.default = Script(reply="On we go")
        assert status == (200 if events else 503)
        if events:
            turn = await ended_well(ada, events)
            assert (turn["state"], turn["reply"]["content"]) == ("completed", "abc"), failing.hit
        await require_sound(gateway, ada, chat)
    assert hit >= UNITS


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_json_stop_and_resume_with_any_one_call_failing(
    fragile: tuple[Gateway, Failing], scripted_upstream: ScriptedUpstream, after: bool
) -> None:
    gateway, failing = fragile
    ada = await gateway.person("ada")
    for call in CALLS:
        chat = await ada.chat()
        scripted_upstream.default = Script(reply=("a", "b", "c", "d"), gap=0.06)
        asking = asyncio.create_task(
            ada.post(f"/api/chats/{chat}/turns", {"content": "Hello"}, headers={"idempotency-key": chat})
        )
        while not gateway.services.turns.count() and not asking.done():
            await asyncio.sleep(0.005)
        turn_id = str(next(iter(gateway.services.turns._running)))
        failing.at, failing.after = call, after
        answers = await asyncio.gather(
            ada.get(f"/api/turns/{turn_id}"),
            ada.get(f"/api/turns/{turn_id}/events"),
            ada.post(f"/api/chats/{chat}/turns", {"content": "Hello"}, headers={"idempotency-key": chat}),
            ada.post(f"/api/turns/{turn_id}/stop"),
            asking,
        )
        failing.at = 0
        assert {answer.status_code for answer in answers} <= {200, 202, 503}, [answer.text for answer in answers]
        for answer in answers:
            if answer.status_code == 503:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["code"] in ("storage-unavailable", "unavailable")
        turn = (await ada.get(f"/api/turns/{turn_id}")).json()
        assert turn["state"] in ("stopped", "completed"), turn
        assert "abcd".startswith(turn["reply"]["content"])
        scripted_upstream.default = Script(reply="On we go")
        await require_sound(gateway, ada, chat)


async def test_a_turn_whose_opening_was_not_heard_of_is_found_again(
    fragile: tuple[Gateway, Failing], scripted_upstream: ScriptedUpstream
) -> None:
    gateway, failing = fragile
    ada = await gateway.person("ada")
    chat = await ada.chat()
    key = {"idempotency-key": "one"}
    await ada.get("/api/me")
    failing.at, failing.after = 1, True
    answer = await ada.post(f"/api/chats/{chat}/turns", {"content": "Hello"}, headers=key)
    assert failing.hit == ["begin_turn"]
    assert answer.status_code == 503
    path = f"/api/chats/{chat}/turns"
    headers = {**key, "accept": "text/event-stream"}
    async with ada.events("POST", path, json={"content": "Hello"}, headers=headers) as source:
        events = await whole(source, 30)
    assert is_terminal(events[-1])
    turn = json.loads(events[-1].data)
    assert turn["state"] == "interrupted"
    assert not scripted_upstream.requests, "nobody ran it, so nobody was asked"
    await require_sound(gateway, ada, chat)
