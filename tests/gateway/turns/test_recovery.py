"""Turns whose process is gone, and turns that run in another one: nothing stays half, and everybody is told."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from builders import Gateway, Person, serve_gateway, text_of
from turn_streams import ended_well, numbers, whole

from gateway.settings import Settings
from gateway.turns import running
from providers.scripted.script import FOREVER, Script
from providers.scripted.server import ScriptedUpstream
from storage.errors import StorageUnavailable
from storage.turns.leases import interrupt_abandoned

pytestmark = pytest.mark.anyio

ENDLESS = Script(reply=("so far", "never"), gap=FOREVER)
DAY = timedelta(days=1)


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LEASE", timedelta(seconds=2.0))
    monkeypatch.setattr(running, "LOOK_EVERY", 0.3)
    monkeypatch.setattr(running, "KEEP_EVERY", 0.1)


async def until_kept(person: Person, turn_id: str, text: str) -> None:
    """Wait until a pass has stored this partial text."""
    for _ in range(100):
        turn = (await person.get(f"/api/turns/{turn_id}")).json()
        if turn["reply"]["content"] == text:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{text!r} was never stored: {turn['reply']['content']!r}")


async def until_ended(person: Person, turn_id: str, patience: float = 30) -> dict[str, Any]:
    end = asyncio.get_running_loop().time() + patience
    while (turn := (await person.get(f"/api/turns/{turn_id}")).json())["state"] == "running":
        assert asyncio.get_running_loop().time() < end, "the turn stays running"
        await asyncio.sleep(0.05)
    return dict(turn)


async def left_running(
    settings: Settings, upstream: ScriptedUpstream, kept: str = "so far"
) -> tuple[dict[str, Any], str, str, str]:
    """A chat with a turn that its process left running, half said: who asked, chat, turn, and the last event's id."""
    upstream.enqueue(ENDLESS)
    async with serve_gateway(settings) as gateway:
        ada = await gateway.person("ada")
        chat = await ada.chat()
        async with ada.stream(chat) as source:
            events = [await anext(source), await anext(source)]
        turn_id = json.loads(events[0].data)["turn_id"]
        await until_kept(ada, turn_id, kept)

        async def broken(unit: Any, *args: Any, **kwargs: Any) -> Any:
            raise StorageUnavailable("The process is as good as dead.")

        gateway.services.database.write = broken  # type: ignore[method-assign]
    return (
        {"user": {"id": ada.id, "username": "ada", "role": ada.role}, "token": ada.token},
        chat,
        turn_id,
        events[-1].id,
    )


async def test_a_turn_of_a_dead_process_is_interrupted_and_told(
    settings: Settings, scripted_upstream: ScriptedUpstream, short_leases: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.turns.run.SAVE_PATIENCE", 0)
    who, chat, turn_id, seen = await left_running(settings, scripted_upstream)
    async with serve_gateway(settings) as gateway:
        ada = Person(gateway.client(), who)
        if settings.database_url.startswith("sqlite"):
            assert (await ada.get(f"/api/turns/{turn_id}")).json()["state"] == "interrupted"
        turn = await until_ended(ada, turn_id)
        assert (turn["state"], turn["reply"]["content"]) == ("interrupted", "so far")
        assert turn["error"]["code"] == "interrupted"
        async with ada.events("GET", f"/api/turns/{turn_id}/events", headers={"last-event-id": seen}) as source:
            events = await whole(source)
        assert [event.event for event in events] == ["turn.snapshot", "turn.failed"]
        assert await ended_well(ada, events) == turn
        assert numbers(events)[0] > int(seen.rpartition(".")[2])
        again = await ada.get(f"/api/turns/{turn_id}/events", headers={"last-event-id": events[-1].id})
        assert again.status_code == 204
        scripted_upstream.enqueue("Here I am")
        assert (await ada.turn(chat, "Are you there?"))["state"] == "completed"
        sent = [message["content"] for message in scripted_upstream.requests[-1].json["messages"]]
        assert "so far" not in " ".join(sent)
        retried = (await ada.post(f"/api/turns/{turn_id}/retry")).json()
        assert retried["user_message_id"] == turn["user_message_id"]


async def test_words_that_were_told_and_not_kept_are_taken_back(
    settings: Settings, scripted_upstream: ScriptedUpstream, short_leases: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies before a pass has stored what it told: its readers are left with what there is, nothing."""
    monkeypatch.setattr("gateway.turns.run.SAVE_PATIENCE", 0)
    with monkeypatch.context() as patched:
        patched.setattr(running, "KEEP_EVERY", 3600.0)
        who, _, turn_id, seen = await left_running(settings, scripted_upstream, kept="")
    async with serve_gateway(settings) as gateway:
        ada = Person(gateway.client(), who)
        await until_ended(ada, turn_id)
        async with ada.events("GET", f"/api/turns/{turn_id}/events", headers={"last-event-id": seen}) as source:
            events = await whole(source)
        assert [event.event for event in events] == ["turn.snapshot", "turn.failed"]
        turn = await ended_well(ada, events)
        assert (turn["state"], turn["reply"]["content"]) == ("interrupted", "")


async def test_a_turn_in_another_process_can_be_followed_stopped_and_resumed_there(
    settings: Settings, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    if settings.database_url.startswith("sqlite"):
        pytest.skip("one process a SQLite file")
    monkeypatch.setattr(running, "KEEP_EVERY", 0.1)
    scripted_upstream.default = Script(reply=tuple("abcdefghijklmnop"), gap=0.06)
    async with serve_gateway(settings) as here, serve_gateway(settings) as there:
        ada = await here.person("ada")
        ada_there = Person(there.client(), {"user": {"id": ada.id, "username": "ada", "role": ""}, "token": ada.token})
        chat = await ada.chat()
        async with ada.stream(chat) as source:
            started = await anext(source)
            turn_id = json.loads(started.data)["turn_id"]
            path = f"/api/turns/{turn_id}/events"
            async with ada_there.events("GET", path) as elsewhere:
                followed = [await anext(elsewhere), await anext(elsewhere), await anext(elsewhere)]
            assert [event.event for event in followed] == ["turn.started", "turn.snapshot", "turn.snapshot"]
            async with ada.events("GET", path, headers={"last-event-id": followed[-1].id}) as back:
                followed += await whole(back)
            rest = await whole(source)
        assert text_of(followed) == "abcdefghijklmnop"
        assert await ended_well(ada, followed) == await ended_well(ada_there, [started, *rest])
        async with ada_there.events("GET", path) as elsewhere:
            assert text_of(await whole(elsewhere)) == "abcdefghijklmnop"
        scripted_upstream.enqueue(ENDLESS)
        async with ada.stream(chat) as source:
            turn_id = json.loads((await anext(source)).data)["turn_id"]
            async with ada_there.events("GET", f"/api/turns/{turn_id}/events") as elsewhere:
                assert (await ada_there.post(f"/api/turns/{turn_id}/stop")).status_code == 202
                turn = await ended_well(ada_there, await whole(elsewhere, 5))
        assert turn["state"] == "stopped"


async def test_nobody_s_turn_in_another_process_is_not_followed_for_ever(
    settings: Settings, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    if settings.database_url.startswith("sqlite"):
        pytest.skip("one process a SQLite file")
    monkeypatch.setattr(running, "KEEP_EVERY", 0.05)
    scripted_upstream.default = ENDLESS
    async with serve_gateway(settings) as here, serve_gateway(settings) as there:
        ada = await here.person("ada")
        ada_there = Person(there.client(), {"user": {"id": ada.id, "username": "ada", "role": ""}, "token": ada.token})
        async with ada.stream(await ada.chat()) as source:
            turn_id = json.loads((await anext(source)).data)["turn_id"]
            async with ada_there.events("GET", f"/api/turns/{turn_id}/events") as elsewhere:
                await anext(elsewhere)
                await anext(elsewhere)
                await asyncio.sleep(0.5)
                assert len(there.services.turns._followers) == 1
            for _ in range(60):
                if not there.services.turns._followers:
                    break
                await asyncio.sleep(0.05)
            assert not there.services.turns._followers
            await ada.post(f"/api/turns/{turn_id}/stop")


async def test_who_reads_through_another_process_attends(
    settings: Settings, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    if settings.database_url.startswith("sqlite"):
        pytest.skip("one process a SQLite file")
    monkeypatch.setattr(running, "KEEP_EVERY", 0.1)
    scripted_upstream.default = ENDLESS
    settings = settings.model_copy(update={"max_unattended": 1.0})
    async with serve_gateway(settings) as here, serve_gateway(settings) as there:
        ada = await here.person("ada")
        ada_there = Person(there.client(), {"user": {"id": ada.id, "username": "ada", "role": ""}, "token": ada.token})
        async with ada.stream(await ada.chat()) as source:
            turn_id = json.loads((await anext(source)).data)["turn_id"]
        async with ada_there.events("GET", f"/api/turns/{turn_id}/events") as elsewhere:
            await anext(elsewhere)
            await asyncio.sleep(2.5)
            assert (await ada.get(f"/api/turns/{turn_id}")).json()["state"] == "running"
        assert (await until_ended(ada, turn_id, 4))["state"] == "stopped"


async def test_an_end_after_the_lease_ran_out_changes_nothing(
    gateway: Gateway, scripted_upstream: ScriptedUpstream
) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    scripted_upstream.default = Script(reply=("so far", ", and the rest"), gap=2.0)
    async with ada.stream(chat) as source:
        events = [await anext(source), await anext(source)]
        turn_id = json.loads(events[0].data)["turn_id"]
        await until_kept(ada, turn_id, "so far")
        ended = await gateway.services.database.write(interrupt_abandoned, running.now() + DAY)
        assert ended == [UUID(turn_id)]
        stored = (await ada.get(f"/api/turns/{turn_id}")).json()
        events += await whole(source, 5)
    turn = await ended_well(ada, events)
    assert turn == stored
    assert (turn["state"], turn["reply"]["content"]) == ("interrupted", "so far")
    assert scripted_upstream.requests[-1].abandoned, "nobody can use the answer, and it is paid for"
    assert (await ada.messages(chat))[-1]["state"] == "interrupted"


async def test_what_was_stored_when_the_lease_ran_out_is_what_readers_are_left_with(
    gateway: Gateway, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat()
    monkeypatch.setattr(running, "KEEP_EVERY", 30)
    await asyncio.sleep(0.6)  # the pass that is under way
    scripted_upstream.default = Script(reply=("told", ", never stored"), gap=0.3)
    async with ada.stream(chat) as source:
        events = [await anext(source), await anext(source)]
        await gateway.services.database.write(interrupt_abandoned, running.now() + DAY)
        events += await whole(source, 5)
    turn = await ended_well(ada, events)
    assert (turn["state"], turn["reply"]["content"]) == ("interrupted", "")


async def test_a_turn_that_could_not_be_saved_does_not_stay_running(
    settings: Settings, scripted_upstream: ScriptedUpstream, short_leases: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.turns.run.SAVE_PATIENCE", 0.2)
    async with serve_gateway(settings) as gateway:
        ada = await gateway.person("ada")
        chat, other = await ada.chat(), await ada.chat()
        database = gateway.services.database
        write, broken = database.write, True

        async def failing(unit: Any, *args: Any, **kwargs: Any) -> Any:
            if broken and unit.__name__ == "finish_turn":
                raise StorageUnavailable("The database does not answer.")
            return await write(unit, *args, **kwargs)

        monkeypatch.setattr(database, "write", failing)
        scripted_upstream.enqueue("Lost for now", ENDLESS)
        async with ada.stream(chat) as source:
            events = await whole(source)
        assert [event.event for event in events if event.event != "reply.delta"] == ["turn.started"]
        turn_id = json.loads(events[0].data)["turn_id"]
        async with ada.stream(other) as source:  # another turn runs on and has its lease renewed
            running_id = json.loads((await anext(source)).data)["turn_id"]
            turn = await until_ended(ada, turn_id)
            assert turn["state"] == "interrupted"
            broken = False
            await ada.post(f"/api/turns/{running_id}/stop")
            assert (await whole(source))[-1].event == "turn.stopped"
        assert (await ada.turn(chat, "again"))["state"] == "completed"


async def test_partial_text_that_could_not_be_kept_is_kept_by_the_next_pass(
    settings: Settings, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "KEEP_EVERY", 0.1)
    async with serve_gateway(settings) as gateway:
        ada = await gateway.person("ada")
        database = gateway.services.database
        write, failures = database.write_long, iter([StorageUnavailable("Not now."), RuntimeError("Not foreseen.")])

        async def failing(unit: Any, *args: Any, **kwargs: Any) -> Any:
            if unit.__name__ == "keep_partial_texts" and args[2] and (failure := next(failures, None)):
                raise failure
            return await write(unit, *args, **kwargs)

        monkeypatch.setattr(database, "write_long", failing)
        scripted_upstream.default = ENDLESS
        async with ada.stream(await ada.chat()) as source:
            turn_id = json.loads((await anext(source)).data)["turn_id"]
            await until_kept(ada, turn_id, "so far")
            await ada.post(f"/api/turns/{turn_id}/stop")
        assert next(failures, None) is None


async def test_units_of_turns_do_not_deadlock(
    gateway: Gateway, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keeping many turns while they end and their chats are deleted: every unit ends, and no turn stays."""
    settings = gateway.services.settings
    assert settings.concurrent_turns < 16
    people = [await gateway.person(f"person{number}") for number in range(4)]
    scripted_upstream.default = Script(reply=tuple("abcd"), gap=0.01)
    turns = gateway.services.turns

    async def keep() -> None:
        while True:
            await turns._keep_once()
            await asyncio.sleep(0)

    keeping = asyncio.create_task(keep())

    async def talk(person: Person) -> None:
        for _ in range(6):
            chats = [await person.chat() for _ in range(3)]
            answers = await asyncio.gather(
                *[person.turn(chat) for chat in chats[:2]],
                person.post(f"/api/chats/{chats[2]}/turns", {"content": "x"}),
            )
            assert {answer["state"] for answer in answers[:2]} == {"completed"}
            assert (await person.delete(f"/api/chats/{chats[2]}")).status_code == 204

    try:
        await asyncio.wait_for(asyncio.gather(*map(talk, people)), 60)
        assert not keeping.done()
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    assert turns.count() == 0
