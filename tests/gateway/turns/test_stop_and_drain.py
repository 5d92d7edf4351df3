"""Ending turns from outside: stops that race with the end, stops from elsewhere, the drain, turns that nobody reads."""

import asyncio
import contextlib
import json
import random
import time
from uuid import UUID

import httpx
import pytest
from builders import Gateway, Person, serve_gateway
from httpx_sse import ServerSentEvent
from turn_streams import ended_well, whole

from gateway.identity.principal import Principal
from gateway.settings import Settings
from gateway.turns.log import TurnLog
from providers.scripted.script import FOREVER, Script
from providers.scripted.server import ScriptedUpstream
from storage.errors import StorageUnavailable
from storage.turns.leases import request_stop
from storage.turns.opening import AskedTurn

pytestmark = pytest.mark.anyio

ENDLESS = Script(reply=("so far", "never"), gap=FOREVER)


async def begun(person: Person, chat: str) -> tuple[str, "asyncio.Task[list[ServerSentEvent]]"]:
    """A turn that has said something, and the task that reads it to its end."""
    said: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def read() -> list[ServerSentEvent]:
        events = []
        async with person.stream(chat) as source:
            async for event in source:
                events.append(event)
                if event.event == "reply.delta" and not said.done():
                    said.set_result(json.loads(events[0].data)["turn_id"])
        return events

    task = asyncio.create_task(read())
    return await asyncio.wait_for(said, 10), task


async def test_a_stop_that_races_with_the_end_gives_one_end(
    gateway: Gateway, scripted_upstream: ScriptedUpstream
) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    scripted_upstream.default = Script(reply=("a", "b", "c"), gap=0.004)
    chance, states = random.Random(7), []
    for _ in range(12):
        async with ada.stream(chat) as source:
            started = await anext(source)
            path = f"/api/turns/{json.loads(started.data)['turn_id']}/stop"
            await asyncio.sleep(chance.uniform(0, 0.02))
            answers, rest = await asyncio.gather(asyncio.gather(ada.post(path), ada.post(path)), whole(source))
        assert {answer.status_code for answer in answers} == {202}
        states.append((await ended_well(ada, [started, *rest]))["state"])
    assert set(states) <= {"completed", "stopped"}


async def test_a_stop_asked_for_in_another_process_is_seen_within_a_second(
    gateway: Gateway, scripted_upstream: ScriptedUpstream
) -> None:
    ada = await gateway.person("ada")
    scripted_upstream.default = ENDLESS
    turn_id, reading = await begun(ada, await ada.chat())
    asked = time.monotonic()
    assert await gateway.services.database.write(request_stop, UUID(turn_id))
    turn = await ended_well(ada, await asyncio.wait_for(reading, 5))
    assert time.monotonic() - asked < 1
    assert (turn["state"], turn["reply"]["content"]) == ("stopped", "so far")


async def test_the_drain_ends_every_stream_with_what_was_said(
    settings: Settings, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.default = ENDLESS
    async with serve_gateway(settings.model_copy(update={"concurrent_turns": 30, "open_streams": 30})) as gateway:
        ada = await gateway.person("ada")
        scripted_upstream.enqueue(*[Script(reply=("in ", "time"), gap=0.1)] * 5)
        readings = []
        for chat in [await ada.chat() for _ in range(20)]:
            readings.append((await begun(ada, chat))[1])
        began = time.monotonic()
        await gateway.services.turns.drain(0.6)
        assert time.monotonic() - began < 3
        turns = [await ended_well(ada, await asyncio.wait_for(reading, 5)) for reading in readings]
    assert sorted(turn["state"] for turn in turns) == ["completed"] * 5 + ["interrupted"] * 15
    assert {turn["reply"]["content"] for turn in turns} == {"in time", "so far"}
    assert gateway.services.turns.count() == 0


async def test_while_it_drains_no_turn_begins(gateway: Gateway, scripted_upstream: ScriptedUpstream) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    await gateway.services.turns.drain(0)
    answer = await ada.post(f"/api/chats/{chat}/turns", {"content": "Hello"})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert (await ada.get("/readyz")).status_code == 503
    assert len(await ada.messages(chat)) == 1
    assert not scripted_upstream.requests


async def test_a_turn_that_opens_just_as_the_drain_begins_ends_with_it(
    gateway: Gateway, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    scripted_upstream.default = ENDLESS
    database = gateway.services.database
    write, drained = database.write, []

    async def late(unit, *args, **kwargs):  # type: ignore[no-untyped-def]
        result = await write(unit, *args, **kwargs)
        if unit.__name__ == "begin_turn":
            drained.append(asyncio.create_task(gateway.services.turns.drain(0.3)))
            await asyncio.sleep(0.05)
        return result

    monkeypatch.setattr(database, "write", late)
    async with ada.stream(chat) as source:
        turn = await ended_well(ada, await whole(source, 5))
    assert turn["state"] == "interrupted"
    await drained[0]
    assert gateway.services.turns.count() == 0


async def test_a_turn_that_is_ended_before_its_first_step_still_ends_well(
    gateway: Gateway, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    turns = gateway.services.turns
    begin = turns.begin

    async def begin_and_drain(asked: AskedTurn, asker: Principal, request_id: str) -> TurnLog:
        log = await begin(asked, asker, request_id)
        draining = turns.drain(0)
        with contextlib.suppress(StopIteration):
            draining.send(None)  # up to where it waits: the turn's own task has not taken its first step yet
        draining.close()
        return log

    monkeypatch.setattr(turns, "begin", begin_and_drain)
    async with ada.stream(chat) as source:
        turn = await ended_well(ada, await whole(source, 5))
    assert turn["state"] == "interrupted"
    assert turns.count() == 0
    assert not scripted_upstream.requests


async def test_a_failing_save_holds_the_drain_up_only_so_long(
    settings: Settings, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.turns.run.SAVE_PATIENCE", 0.5)
    scripted_upstream.default = ENDLESS
    async with serve_gateway(settings) as gateway:
        ada = await gateway.person("ada")
        chat = await ada.chat()
        turn_id, reading = await begun(ada, chat)
        database = gateway.services.database
        write = database.write

        async def broken(unit, *args, **kwargs):  # type: ignore[no-untyped-def]
            if unit.__name__ in ("finish_turn", "keep_partial_texts"):
                raise StorageUnavailable("The database does not answer.")
            return await write(unit, *args, **kwargs)

        for name in ("write", "write_long"):
            monkeypatch.setattr(database, name, broken)
        began = time.monotonic()
        await gateway.services.turns.drain(0)
        assert time.monotonic() - began < 2
        events = await asyncio.wait_for(reading, 5)
        assert events[-1].event == "reply.delta"
        assert (await ada.get(f"/api/turns/{turn_id}")).json()["state"] == "running"


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
async def test_a_turn_that_nobody_reads_is_stopped(
    settings: Settings, scripted_upstream: ScriptedUpstream, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.turns.running.KEEP_EVERY", 0.1)
    scripted_upstream.default = ENDLESS
    async with serve_gateway(settings.model_copy(update={"max_unattended": 0.3})) as gateway:
        ada = await gateway.person("ada")
        chat = await ada.chat()
        impatient = httpx.AsyncClient(base_url=gateway.url, headers={**ada.headers, "accept": accept}, timeout=0.4)
        with pytest.raises(httpx.ReadTimeout):
            await impatient.post(f"/api/chats/{chat}/turns", json={"content": "Hello"})
        await impatient.aclose()
        left = time.monotonic()
        reply = (await ada.messages(chat))[-1]
        assert reply["state"] == "running"
        while (turn := (await ada.get(f"/api/turns/{reply['turn_id']}")).json())["state"] == "running":
            assert time.monotonic() - left < 4, "nobody reads it, and it goes on"
            await asyncio.sleep(0.05)
        assert (turn["state"], turn["reply"]["content"]) == ("stopped", "so far")
        assert scripted_upstream.requests[-1].abandoned


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
async def test_a_turn_that_somebody_waits_for_goes_on(
    settings: Settings, scripted_upstream: ScriptedUpstream, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.turns.running.KEEP_EVERY", 0.1)
    scripted_upstream.default = Script(reply=("a", "b", "c", "d"), gap=0.3)
    async with serve_gateway(settings.model_copy(update={"max_unattended": 0.2})) as gateway:
        ada = await gateway.person("ada")
        chat = await ada.chat()
        await ada.post(f"/api/chats/{chat}/turns", {"content": "Hello"}, headers={"accept": accept})
        reply = (await ada.messages(chat))[-1]
        assert (reply["state"], reply["content"]) == ("completed", "abcd")


async def test_a_chat_deleted_in_mid_reply_ends_the_stream_and_the_upstream(
    gateway: Gateway, scripted_upstream: ScriptedUpstream
) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    scripted_upstream.default = ENDLESS
    _, reading = await begun(ada, chat)
    assert (await ada.delete(f"/api/chats/{chat}")).status_code == 204
    events = await asyncio.wait_for(reading, 5)
    assert events[-1].event == "turn.failed"
    assert json.loads(events[-1].data)["error"]["code"] == "chat-gone"
    assert gateway.services.turns.count() == 0
    for _ in range(40):
        if not scripted_upstream.running:
            break
        await asyncio.sleep(0.05)
    assert scripted_upstream.running == 0
