"""Who loses access while they read: their stream ends, their waiting is refused, and the turn goes on for others."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from builders import PASSWORD, Gateway, Person, serve_gateway, text_of
from httpx_sse import ServerSentEvent
from sqlalchemy import update
from sqlmodel import col
from turn_streams import ended_well, is_terminal, numbers, whole

from gateway import readers
from gateway.settings import Settings
from providers.scripted.script import FOREVER, Script
from providers.scripted.server import ScriptedUpstream
from storage.conversations.conversations import ConversationKind
from storage.conversations.membership import remove_member_of
from storage.database import open_database
from storage.database.columns import now
from storage.errors import StorageUnavailable
from storage.people.access import lost_access
from storage.people.credentials import AccessToken
from storage.people.users import change_standing

pytestmark = pytest.mark.anyio

WORDS = tuple(f"{number} " for number in range(16))
STEADY = Script(reply=WORDS, gap=0.12)
ENDLESS = Script(reply=("so far", "never"), gap=FOREVER)
NEVER = 3600.0


class Scene:
    """Ada's chat, in which Bob takes part; he reads with an access token if `program`, else with his login."""

    def __init__(self, gateway: Gateway, ada: Person, bob: Person, program: Person, token_id: str, chat: str) -> None:
        self.gateway = gateway
        self.ada = ada
        self.bob = bob
        self.program = program
        self.token_id = token_id
        self.chat = chat

    async def elsewhere(self, unit: Any, *args: Any, **kwargs: Any) -> None:
        """Run a unit as another process would: the gateway does not hear of it."""
        database = await open_database(self.gateway.services.settings.database_address)
        try:
            await database.write(unit, *args, **kwargs)
        finally:
            await database.close()

    def count(self, person: Person) -> int:
        """How many readers of a person's the gateway has."""
        return len(self.gateway.services.readers._open.get(UUID(person.id), ()))

    async def until_reading(self, person: Person, count: int) -> None:
        while self.count(person) != count:
            await asyncio.sleep(0.01)


Lose = Callable[[Scene], Awaitable[Any]]


async def log_out(scene: Scene) -> None:
    assert (await scene.bob.post("/api/auth/logout")).status_code == 204


async def revoke(scene: Scene) -> None:
    assert (await scene.bob.delete(f"/api/auth/tokens/{scene.token_id}")).status_code == 204


async def shut_out(scene: Scene) -> None:
    assert (await scene.ada.patch(f"/api/admin/users/{scene.bob.id}", {"disabled": True})).status_code == 200


async def delete_account(scene: Scene) -> None:
    assert (await scene.bob.delete("/api/me", {"password": PASSWORD})).status_code == 204


async def take_out(scene: Scene) -> None:
    assert (await scene.ada.delete(f"/api/chats/{scene.chat}/members/{scene.bob.id}")).status_code == 204


async def leave(scene: Scene) -> None:
    assert (await scene.bob.delete(f"/api/chats/{scene.chat}/members/{scene.bob.id}")).status_code == 204


async def expire(scene: Scene) -> None:
    expiring = update(AccessToken).where(col(AccessToken.id) == UUID(scene.token_id)).values(expires_at=now())
    await scene.elsewhere(lambda connection: connection.execute(expiring))


async def shut_out_elsewhere(scene: Scene) -> None:
    await scene.elsewhere(change_standing, None, UUID(scene.bob.id), disabled=True)


async def take_out_elsewhere(scene: Scene) -> None:
    await scene.elsewhere(
        remove_member_of, UUID(scene.ada.id), ConversationKind.chat, UUID(scene.chat), UUID(scene.bob.id)
    )


AT_ONCE: dict[Lose, int] = {log_out: 401, revoke: 401, shut_out: 401, delete_account: 401, take_out: 404, leave: 404}
AT_INTERVALS: dict[Lose, int] = {expire: 401, shut_out_elsewhere: 401, take_out_elsewhere: 404}
BY_TOKEN = (revoke, expire)


@asynccontextmanager
async def played(settings: Settings, name: str = "plain") -> AsyncIterator[Scene]:
    async with serve_gateway(settings) as gateway:
        ada, bob = await gateway.person("ada"), await gateway.person("bob")
        chat = await ada.chat(name, participants=[bob.id])
        scopes = ["chats:read", "turns:read", "turns:write"]
        made = (await bob.post("/api/auth/tokens", {"name": "program", "scopes": scopes})).json()
        same = {"user": {"id": bob.id, "username": "bob", "role": bob.role}, "token": made["token"]}
        yield Scene(gateway, ada, bob, Person(gateway.client(), same), made["id"], chat)


async def all_events(person: Person, turn_id: str) -> list[ServerSentEvent]:
    async with person.events("GET", f"/api/turns/{turn_id}/events") as source:
        return await whole(source)


@pytest.mark.parametrize("lose", [*AT_ONCE, *AT_INTERVALS], ids=lambda lose: lose.__name__)
async def test_who_loses_access_stops_reading_and_the_others_read_on(
    settings: Settings, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch, lose: Lose
) -> None:
    monkeypatch.setattr(readers, "LOOK_EVERY", NEVER if lose in AT_ONCE else 0.2)
    scripted_upstream.default = STEADY
    async with played(settings) as scene:
        reader = scene.program if lose in BY_TOKEN else scene.bob
        key = {"idempotency-key": "one"}
        async with reader.stream(scene.chat, headers=key) as source:
            events = [await anext(source), await anext(source)]
            turn_id = events[0].id.partition(".")[0]
            waiting = asyncio.create_task(
                reader.post(f"/api/chats/{scene.chat}/turns", {"content": "Hello"}, headers=key)
            )
            others = asyncio.create_task(all_events(scene.ada, turn_id))
            await scene.until_reading(scene.ada, 1)
            await scene.until_reading(scene.bob, 2)
            await lose(scene)
            async with asyncio.timeout(1):
                events += await whole(source)
                answer = await waiting
        assert (await scene.ada.get(f"/api/turns/{turn_id}")).json()["state"] == "running"
        assert not any(is_terminal(event) for event in events)
        assert numbers(events) == list(range(len(events)))
        assert scene.count(scene.bob) == 0
        again = await reader.get(f"/api/turns/{turn_id}/events", headers={"last-event-id": events[-1].id})
        status = {**AT_ONCE, **AT_INTERVALS}[lose]
        for refused in (answer, again):
            assert refused.status_code == status, refused.text
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)
        turn = await ended_well(scene.ada, await others)
        assert (turn["state"], turn["reply"]["content"]) == ("completed", "".join(WORDS))
        assert text_of(events) != turn["reply"]["content"]
        assert turn["reply"]["content"].startswith(text_of(events))


async def test_what_one_reads_with_another_credential_or_in_another_chat_goes_on(
    settings: Settings, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "LOOK_EVERY", 0.05)
    scripted_upstream.default = STEADY
    async with played(settings) as scene:
        mine = await scene.bob.chat("plain")
        async with scene.bob.stream(mine) as with_login, scene.program.stream(scene.chat) as elsewhere:
            events, others = [await anext(with_login)], [await anext(elsewhere)]
            async with scene.program.events("GET", f"/api/turns/{events[0].id.partition('.')[0]}/events") as source:
                kept = [await anext(source)]
                await leave(scene)
                await log_out(scene)
                kept += await whole(source)
            assert not is_terminal((events + await whole(with_login))[-1])
            assert not is_terminal((others + await whole(elsewhere))[-1])
        turn = await ended_well(scene.program, kept)
        assert (turn["state"], turn["reply"]["content"]) == ("completed", "".join(WORDS))


async def test_the_login_that_gives_way_to_a_new_one_reads_no_more(
    settings: Settings, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "LOOK_EVERY", NEVER)
    monkeypatch.setattr("storage.people.credentials.MAX_LOGINS", 1)
    scripted_upstream.default = ENDLESS
    async with played(settings) as scene, scene.bob.stream(scene.chat) as source:
        events = [await anext(source)]
        body = {"username": "bob", "password": PASSWORD}
        assert (await scene.gateway.client().post("/api/auth/login", json=body)).status_code == 200
        assert not is_terminal((events + await whole(source, 1))[-1])


async def test_who_loses_access_before_the_answer_begins_is_refused(
    settings: Settings, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "LOOK_EVERY", NEVER)
    scripted_upstream.default = Script(reply="Said all the same")
    async with played(settings) as scene:
        database = scene.gateway.services.database
        write, looked = database.write, asyncio.Event()

        async def late(unit: Any, *args: Any, **kwargs: Any) -> Any:
            opened = await write(unit, *args, **kwargs)
            if unit.__name__ == "begin_turn":
                await log_out(scene)
                await looked.wait()
            return opened

        read = database.read

        async def noticed(unit: Any, *args: Any, **kwargs: Any) -> Any:
            lost = await read(unit, *args, **kwargs)
            if unit is lost_access:
                looked.set()
            return lost

        monkeypatch.setattr(database, "write", late)
        monkeypatch.setattr(database, "read", noticed)
        for accept in ("text/event-stream", "application/json"):
            headers = {"accept": accept}
            answer = await scene.bob.post(f"/api/chats/{scene.chat}/turns", {"content": "Hello"}, headers=headers)
            assert answer.status_code == 401, accept
        while (reply := (await scene.ada.messages(scene.chat))[-1])["state"] == "running":
            await asyncio.sleep(0.02)
        assert (reply["state"], reply["content"]) == ("completed", "Said all the same")


async def test_a_chat_that_is_deleted_tells_its_end_to_every_reader(
    settings: Settings, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "LOOK_EVERY", 0.01)
    scripted_upstream.default = ENDLESS
    async with played(settings) as scene, scene.bob.stream(scene.chat) as source:
        await anext(source)
        await scene.ada.delete(f"/api/chats/{scene.chat}")
        assert (await whole(source, 5))[-1].event == "turn.failed"


async def test_a_database_that_does_not_answer_ends_nobody_s_reading(
    settings: Settings, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "LOOK_EVERY", 0.05)
    scripted_upstream.default = ENDLESS
    async with played(settings) as scene, scene.bob.stream(scene.chat) as source:
        await anext(source)
        await anext(source)
        database = scene.gateway.services.database
        read = database.read
        failures = [StorageUnavailable("Not now."), RuntimeError("Not foreseen."), StorageUnavailable("Not now.")]

        async def failing(unit: Any, *args: Any, **kwargs: Any) -> Any:
            if unit is lost_access and failures:
                raise failures.pop()
            return await read(unit, *args, **kwargs)

        monkeypatch.setattr(database, "read", failing)
        while failures:
            await asyncio.sleep(0.02)
        assert scene.count(scene.bob) == 1
        await log_out(scene)
        assert await whole(source, 5) == []


@pytest.mark.parametrize("lose", [log_out, take_out], ids=lambda lose: lose.__name__)
async def test_who_reads_through_another_process_stops_too(
    settings: Settings, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch, lose: Lose
) -> None:
    if settings.database_url.startswith("sqlite"):
        pytest.skip("one process a SQLite file")
    monkeypatch.setattr(readers, "LOOK_EVERY", 0.2)
    scripted_upstream.default = ENDLESS
    async with played(settings) as scene, serve_gateway(settings) as there:
        same = {"user": {"id": scene.bob.id, "username": "bob", "role": scene.bob.role}, "token": scene.bob.token}
        bob_there = Person(there.client(), same)
        key = {"idempotency-key": "one"}
        async with (
            scene.bob.stream(scene.chat, headers=key) as here,
            bob_there.stream(scene.chat, headers=key) as source,
        ):
            await anext(here)
            await anext(source)
            waiting = asyncio.create_task(
                bob_there.post(f"/api/chats/{scene.chat}/turns", {"content": "Hello"}, headers=key)
            )
            while len(there.services.readers._open.get(UUID(scene.bob.id), ())) != 2:
                await asyncio.sleep(0.01)
            await lose(scene)
            assert not any(is_terminal(event) for event in await whole(source, 2))
            answer = await asyncio.wait_for(waiting, 2)
            assert answer.status_code == AT_ONCE[lose], answer.text
