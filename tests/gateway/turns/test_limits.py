"""Limits of one person: 429, when to come back, and nothing changed."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from builders import PASSWORD, Gateway, Person, serve_gateway
from sqlalchemy import Connection, text

from gateway.settings import Settings
from providers.scripted.script import FOREVER, Script
from providers.scripted.server import ScriptedUpstream

pytestmark = pytest.mark.anyio

ENDLESS = Script(reply=("so far", "never"), gap=FOREVER)


@pytest.fixture
def limited(settings: Settings) -> Callable[..., Any]:
    @asynccontextmanager
    async def serve(**limits: Any) -> AsyncIterator[tuple[Gateway, Person]]:
        async with serve_gateway(settings.model_copy(update=limits)) as gateway:
            yield gateway, await gateway.person("ada")

    return serve


def rows(connection: Connection) -> dict[str, list[Any]]:
    """All that a refused turn could have changed."""
    return {
        table: sorted(map(repr, connection.execute(text(f"SELECT * FROM {table}")).all()))
        for table in ("message", "turn", "chat_session", "conversation", "idempotency", "allowance")
    }


def require_refused(answer: httpx.Response, code: str = "rate-limited") -> None:
    assert answer.status_code == 429, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert int(answer.headers["retry-after"]) >= 1


async def test_turns_a_minute(limited: Callable[..., Any], scripted_upstream: ScriptedUpstream) -> None:
    async with limited(turns_per_minute=3) as (gateway, ada):
        chat = await ada.chat()
        for _ in range(3):
            await ada.turn(chat)
        before = await gateway.services.database.read(rows)
        for accept in ("application/json", "text/event-stream"):
            headers = {"accept": accept, "idempotency-key": "one"}
            answer = await ada.post(f"/api/chats/{chat}/turns", {"content": "Hello"}, headers=headers)
            require_refused(answer)
            assert int(answer.headers["retry-after"]) <= 20
        last = (await ada.messages(chat))[-1]
        require_refused(await ada.post(f"/api/turns/{last['turn_id']}/retry"))
        assert await gateway.services.database.read(rows) == before
        assert len(scripted_upstream.requests) == 3
        bob = await gateway.person("bob")
        await bob.turn(await bob.chat())


REFUSED: dict[str, tuple[str, bytes, dict[str, str], int]] = {
    "no such chat": ("/api/chats/{nothing}/turns", b'{"content": "Hello"}', {}, 404),
    "no such parent": ("/api/chats/{chat}/turns", b'{"content": "Hello", "parent_id": "{nothing}"}', {}, 404),
    "a body that is malformed": ("/api/chats/{chat}/turns", b'{"content"', {}, 400),
    "nothing said": ("/api/chats/{chat}/turns", b'{"content": ""}', {}, 400),
    "no such turn": ("/api/turns/{nothing}/retry", b"", {}, 404),
    "a chat where one runs": ("/api/chats/{busy}/turns", b'{"content": "Hello"}', {}, 409),
    "the same once more": ("/api/chats/{chat}/turns", b'{"content": "Hello"}', {"idempotency-key": "one"}, 200),
    "another under its key": ("/api/chats/{chat}/turns", b'{"content": "Bye"}', {"idempotency-key": "one"}, 422),
    "too long": ("/api/chats/{chat}/turns", b'{"content": "' + b"word " * 20_000 + b'"}', {}, 413),
    "no key for its model": ("/api/chats/{keyless}/turns", b'{"content": "Hello"}', {}, 503),
}


@pytest.mark.parametrize("refused", REFUSED)
async def test_whoever_asks_for_a_turn_is_counted_once_whatever_becomes_of_it(
    limited: Callable[..., Any], scripted_upstream: ScriptedUpstream, refused: str
) -> None:
    path, body, headers, status = REFUSED[refused]
    async with limited(turns_per_minute=3, writes_per_minute=5) as (gateway, ada):
        names = {"chat": await ada.chat(), "busy": await ada.chat(), "keyless": await ada.chat("claude")}
        names["nothing"] = str(uuid4())
        for name, chat_id in names.items():
            path, body = path.replace(f"{{{name}}}", chat_id), body.replace(f"{{{name}}}".encode(), chat_id.encode())
        first = {"content-type": "application/json", "idempotency-key": "one"}
        hello = b'{"content": "Hello"}'
        opened = await ada.request("POST", f"/api/chats/{names['chat']}/turns", content=hello, headers=first)
        assert opened.status_code == 200
        scripted_upstream.default = ENDLESS
        async with ada.stream(names["busy"]) as source:
            turn_id = json.loads((await anext(source)).data)["turn_id"]
            headers = {"content-type": "application/json", **headers}
            for _ in range(3):
                answer = await ada.request("POST", path, content=body, headers=headers)
                assert answer.status_code == status, answer.text
            require_refused(answer := await ada.request("POST", path, content=body, headers=headers))
            assert int(answer.headers["retry-after"]) <= 12
            require_refused(await ada.post(f"/api/chats/{names['chat']}/turns", {"content": "Hello"}))
            assert (await ada.post(f"/api/turns/{turn_id}/stop")).status_code == 202
        scripted_upstream.default = Script(reply="Hello")
        bob = await gateway.person("bob")
        await bob.turn(await bob.chat())


async def test_a_turn_that_is_refused_is_none_of_those_one_may_ask(limited: Callable[..., Any]) -> None:
    async with limited(turns_per_minute=2) as (_, ada):
        chat = await ada.chat()
        for _ in range(4):
            long = await ada.post(f"/api/chats/{chat}/turns", {"content": "word " * 20_000})
            assert long.status_code == 413
        for _ in range(2):
            await ada.turn(chat)
        require_refused(await ada.post(f"/api/chats/{chat}/turns", {"content": "Hello"}))


async def test_who_holds_a_token_cannot_keep_its_owner_from_asking(limited: Callable[..., Any]) -> None:
    async with limited(turns_per_minute=2, writes_per_minute=3) as (_, ada):
        chat = await ada.chat()
        wanted = {"name": "weak", "scopes": ["personas:read"], "expires_in_days": 1}
        weak = (await ada.post("/api/auth/tokens", wanted)).json()["token"]
        bearer = {"authorization": f"Bearer {weak}"}
        path = f"/api/chats/{chat}/turns"
        asked = [(await ada.post(path, {"content": "Hello"}, headers=bearer)).status_code for _ in range(4)]
        assert asked == [403] * 3 + [429]
        await ada.turn(chat)


NOT_WRITES = {
    "post /api/auth/signup",
    "post /api/auth/login",
    "post /api/chats/{chat_id}/turns",
    "post /api/turns/{turn_id}/retry",
}
"""They have allowances of their own."""

UNCOUNTED = {
    "post /api/auth/logout",
    "delete /api/auth/sessions",
    "delete /api/auth/sessions/{session_id}",
    "delete /api/auth/tokens/{token_id}",
    "delete /api/me",
    "post /api/me/password",
    "post /api/turns/{turn_id}/stop",
}
"""They take power away, or ask for the password."""


async def test_writes_a_minute(limited: Callable[..., Any]) -> None:
    async with limited(writes_per_minute=3) as (gateway, ada):
        chat = await ada.chat()
        assert (await ada.post(f"/api/chats/{chat}/messages", {"content": "Hello"})).status_code == 201
        assert (await ada.post(f"/api/chats/{chat}/messages", {"content": ""})).status_code == 400
        document = (await ada.get("/openapi.json")).json()
        refused = set()
        every = {f"{method} {path}" for path, operations in document["paths"].items() for method in operations}
        assert every > UNCOUNTED
        for operation in sorted(every, key=lambda operation: operation == "post /api/auth/logout"):
            method, path = operation.split()
            answer = await ada.request(method.upper(), re.sub(r"{\w+}", chat, path), json={})
            if answer.status_code == 429:
                require_refused(answer)
                assert int(answer.headers["retry-after"]) <= 20
                refused.add(operation)
        writes = {operation for operation in every if not operation.startswith("get")} - NOT_WRITES - UNCOUNTED
        assert refused == writes | {"get /api/chats/{chat_id}/context"}
        assert (await ada.get("/api/me")).status_code == 401
        bob = await gateway.person("bob")
        await bob.turn(await bob.chat())


async def spend_writes(person: Person, token: str) -> None:
    """Write with a token until it is refused."""
    bearer = {"authorization": f"Bearer {token}"}
    while (answer := await person.request("PATCH", "/api/me", json={}, headers=bearer)).status_code != 429:
        assert answer.status_code in (200, 403)


async def test_who_holds_a_token_cannot_keep_its_owner_from_writing(limited: Callable[..., Any]) -> None:
    async with limited(writes_per_minute=4) as (_, ada):
        wanted = {"name": "weak", "scopes": ["personas:read"], "expires_in_days": 1}
        weak, other = [(await ada.post("/api/auth/tokens", wanted)).json() for _ in range(2)]
        await spend_writes(ada, weak["token"])
        bearer = {"authorization": f"Bearer {other['token']}"}
        require_refused(
            await ada.request("PATCH", "/api/me", json={}, headers=bearer)
        )  # a token more is no allowance more
        assert (await ada.patch("/api/me", {"display_name": "Ada"})).status_code == 200


async def test_power_is_taken_away_however_much_was_written(
    limited: Callable[..., Any], scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.default = ENDLESS
    async with limited(writes_per_minute=4) as (gateway, ada):
        wanted = {"name": "stolen", "scopes": ["personas:read"], "expires_in_days": 1}
        stolen = (await ada.post("/api/auth/tokens", wanted)).json()
        async with ada.stream(await ada.chat()) as events:
            turn_id = json.loads((await anext(events)).data)["turn_id"]
            await spend_writes(ada, ada.token)
            assert (await ada.post(f"/api/turns/{turn_id}/stop")).status_code == 202
            assert [event async for event in events][-1].event == "turn.stopped"
        assert (await ada.delete(f"/api/auth/tokens/{stolen['id']}")).status_code == 204
        again = {"username": "ada", "password": PASSWORD}
        for path in ("", "/{id}"):
            await gateway.client().post("/api/auth/login", json=again)
            logins = (await ada.get("/api/auth/sessions")).json()["data"]
            other = next(login["id"] for login in logins if not login["current"])
            assert (await ada.delete(f"/api/auth/sessions{path.format(id=other)}")).status_code == 204
        assert len((await ada.get("/api/auth/sessions")).json()["data"]) == 1
        change = {"current": PASSWORD, "new": f"{PASSWORD}, changed", "revoke_tokens": True}
        assert (await ada.post("/api/me/password", change)).status_code == 204
        require_refused(await ada.patch("/api/me", {}))
        assert (await ada.post("/api/auth/logout")).status_code == 204
        assert (await ada.get("/api/me")).status_code == 401


async def test_writes_at_once_are_as_many_as_allowed(limited: Callable[..., Any]) -> None:
    async with limited(writes_per_minute=4) as (_, ada):
        asked = [ada.post("/api/chats", {"persona": "plain"}) for _ in range(16)]
        statuses = [answer.status_code for answer in await asyncio.gather(*asked)]
    assert sorted(statuses) == [201] * 4 + [429] * 12


async def test_turns_at_a_time(limited: Callable[..., Any], scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.default = ENDLESS
    async with limited(concurrent_turns=2) as (gateway, ada), AsyncExitStack() as open_streams:
        chats = [await ada.chat() for _ in range(3)]
        started = []
        for chat in chats[:2]:
            source = await open_streams.enter_async_context(ada.stream(chat))
            started.append(json.loads((await anext(source)).data)["turn_id"])
        path = f"/api/chats/{chats[2]}/turns"
        counted = await gateway.services.database.read(rows)
        require_refused(await ada.post(path, {"content": "Hello"}))
        now = await gateway.services.database.read(rows)
        for table in ("message", "conversation", "chat_session", "allowance"):
            assert len(now[table]) == len(counted[table])
        assert now["allowance"] == counted["allowance"]
        await ada.post(f"/api/turns/{started[0]}/stop")
        scripted_upstream.default = Script(reply="Now")
        while (answer := await ada.post(path, {"content": "Hello"})).status_code == 429:
            await asyncio.sleep(0.02)
        assert answer.json()["state"] == "completed"
        await ada.post(f"/api/turns/{started[1]}/stop")


async def test_streams_at_a_time(limited: Callable[..., Any], scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.default = ENDLESS
    async with limited(open_streams=2, concurrent_turns=9) as (gateway, ada):
        chat, other = await ada.chat(), await ada.chat()
        async with ada.stream(chat) as source:
            turn_id = json.loads((await anext(source)).data)["turn_id"]
            path = f"/api/turns/{turn_id}/events"
            async with ada.events("GET", path) as second:
                await anext(second)
                require_refused(await ada.get(path))
                before = await gateway.services.database.read(rows)
                asked = len(scripted_upstream.requests)
                stream = {"accept": "text/event-stream"}
                require_refused(await ada.post(f"/api/chats/{other}/turns", {"content": "Hello"}, headers=stream))
                after = await gateway.services.database.read(rows)
                assert {name: len(found) for name, found in after.items()} == {
                    name: len(found) for name, found in before.items()
                }
                assert after["allowance"] == before["allowance"]
                assert len(scripted_upstream.requests) == asked
            await ada.post(f"/api/turns/{turn_id}/stop")
        scripted_upstream.default = Script(reply="Room again")
        for _ in range(100):
            if not gateway.services.readers._open:
                break
            await asyncio.sleep(0.02)
        async with ada.stream(other) as source:
            assert [event async for event in source][-1].event == "turn.completed"


async def test_many_streams_at_once_are_as_many_as_allowed(
    limited: Callable[..., Any], scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.default = ENDLESS
    async with limited(open_streams=4) as (_, ada), ada.stream(await ada.chat()) as source:
        turn_id = json.loads((await anext(source)).data)["turn_id"]

        async def status() -> int:
            async with ada.client.stream("GET", f"/api/turns/{turn_id}/events", headers=ada.headers) as answer:
                if answer.status_code == 200:
                    async for _ in answer.aiter_raw():
                        pass
                return answer.status_code

        asking = [asyncio.create_task(status()) for _ in range(16)]
        while sum(task.done() for task in asking) < 13:
            await asyncio.sleep(0.02)
        await ada.post(f"/api/turns/{turn_id}/stop")
        statuses = await asyncio.wait_for(asyncio.gather(*asking), 10)
    assert sorted(statuses) == [200] * 3 + [429] * 13


async def test_who_waits_for_a_reply_counts_as_who_streams_it(
    limited: Callable[..., Any], scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.default = ENDLESS
    async with limited(open_streams=4) as (gateway, ada):
        chat, other = await ada.chat(), await ada.chat()
        asked = {"json": {"content": "Hello"}, "headers": {"idempotency-key": "one"}}
        asking = [asyncio.create_task(ada.request("POST", f"/api/chats/{chat}/turns", **asked)) for _ in range(16)]
        while sum(task.done() for task in asking) < 12:
            await asyncio.sleep(0.02)
        while (turn_id := (await ada.get(f"/api/chats/{chat}")).json()["running_turn"]) is None:
            await asyncio.sleep(0.02)
        before = await gateway.services.database.read(rows)
        require_refused(await ada.get(f"/api/turns/{turn_id}/events"))
        require_refused(await ada.post(f"/api/chats/{other}/turns", {"content": "Hello"}))
        after = await gateway.services.database.read(rows)
        for table in ("conversation", "chat_session", "idempotency", "allowance"):
            assert after[table] == before[table]
        assert len(after["turn"]) == len(after["idempotency"]) == 1
        assert len(after["message"]) == len(before["message"])
        await ada.post(f"/api/turns/{turn_id}/stop")
        answers = await asyncio.wait_for(asyncio.gather(*asking), 10)
        assert len(scripted_upstream.requests) == 1
        for refused in [answer for answer in answers if answer.status_code != 200]:
            require_refused(refused)
        assert [answer.json()["state"] for answer in answers if answer.status_code == 200] == ["stopped"] * 4
        assert not gateway.services.readers._open
