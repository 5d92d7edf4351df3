"""Readers that leave and come back: wherever they were cut off, they have the same text and no number twice."""

import asyncio
import json
import socket
import struct

import pytest
from builders import Gateway, Person, text_of
from httpx_sse import ServerSentEvent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from turn_streams import ended_well, numbers, whole

from gateway.turns import sse
from providers.scripted.script import FOREVER, Script
from providers.scripted.server import ScriptedUpstream

pytestmark = pytest.mark.anyio

WORDS = tuple(f"{number} " for number in range(12))
TEXT = "".join(WORDS)
STEADY = Script(reply=WORDS, gap=0.015)

_people: dict[Gateway, Person] = {}


async def somebody(gateway: Gateway) -> Person:
    """One person for all tests that share a gateway."""
    if gateway not in _people:
        _people[gateway] = await gateway.person("ada")
    return _people[gateway]


async def read(person: Person, turn_id: str, last: str | None, most: int | None = None) -> list[ServerSentEvent]:
    """The turn's events after one, at most so many, and then hang up."""
    headers = {} if last is None else {"last-event-id": last}
    async with person.events("GET", f"/api/turns/{turn_id}/events", headers=headers) as source:
        if most is None:
            return await whole(source)
        return [event async for _, event in _counted(source, most)]


async def _counted(source, most: int):  # type: ignore[no-untyped-def]
    for number in range(most):
        try:
            yield number, await anext(source)
        except StopAsyncIteration:
            return


async def cut_off_after(person: Person, chat: str, count: int) -> list[ServerSentEvent]:
    async with person.stream(chat) as source:
        return [event async for _, event in _counted(source, count)]


@pytest.mark.parametrize("seen", range(1, len(WORDS) + 2))
async def test_a_client_that_left_after_any_event_reads_the_rest(
    shared: Gateway, shared_upstream: ScriptedUpstream, seen: int
) -> None:
    ada = await somebody(shared)
    shared_upstream.default = STEADY
    events = await cut_off_after(ada, await ada.chat("plain"), seen)
    turn_id = json.loads(events[0].data)["turn_id"]
    events += await read(ada, turn_id, events[-1].id)
    turn = await ended_well(ada, events)
    assert (turn["state"], turn["reply"]["content"]) == ("completed", TEXT)
    if not any(event.event == "turn.snapshot" for event in events):
        assert numbers(events) == list(range(len(events)))
    last = numbers(events)[-1]
    for number in range(last):  # and now from what is stored
        again = await read(ada, turn_id, f"{turn_id}.{number}")
        assert text_of(again) == TEXT or number == last - 1
        assert again[-1].id == events[-1].id
    done = await ada.get(f"/api/turns/{turn_id}/events", headers={"last-event-id": f"{turn_id}.{last}"})
    assert done.status_code == 204


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(cuts=st.lists(st.tuples(st.integers(1, 5), st.floats(0, 0.03)), max_size=5), readers=st.integers(1, 4))
async def test_any_readers_cut_off_anywhere_have_the_same_text(
    shared: Gateway, shared_upstream: ScriptedUpstream, cuts: list[tuple[int, float]], readers: int
) -> None:
    ada = await somebody(shared)
    shared_upstream.default = Script(reply=WORDS, gap=0.004)
    events = await cut_off_after(ada, await ada.chat("plain"), 1)
    turn_id = json.loads(events[0].data)["turn_id"]

    async def one() -> list[ServerSentEvent]:
        mine = list(events)
        for most, away in cuts:
            await asyncio.sleep(away)
            if mine[-1].event == "turn.completed":
                break
            mine += await read(ada, turn_id, mine[-1].id, most)
        if mine[-1].event != "turn.completed":
            mine += await read(ada, turn_id, mine[-1].id)
        return mine

    for told in await asyncio.gather(*[one() for _ in range(readers)]):
        assert (await ended_well(ada, told))["reply"]["content"] == TEXT


async def test_many_readers_are_told_the_same(shared: Gateway, shared_upstream: ScriptedUpstream) -> None:
    ada = await somebody(shared)
    shared_upstream.default = Script(reply=WORDS, gap=0.2)  # long enough for all of them to come before the end
    events = await cut_off_after(ada, await ada.chat("plain"), 1)
    turn_id = json.loads(events[0].data)["turn_id"]
    told = await asyncio.gather(*[read(ada, turn_id, None) for _ in range(30)])
    assert {tuple((event.id, event.event, event.data) for event in one) for one in told} == {
        tuple((event.id, event.event, event.data) for event in told[0])
    }
    assert (await ended_well(ada, told[0]))["reply"]["content"] == TEXT


async def test_a_reader_that_does_not_read_holds_nobody_up(shared: Gateway, shared_upstream: ScriptedUpstream) -> None:
    ada = await somebody(shared)
    large = tuple("x" * 20_000 for _ in range(100))
    shared_upstream.default = Script(reply=large, gap=0.004)
    events = await cut_off_after(ada, await ada.chat("plain"), 1)
    turn_id = json.loads(events[0].data)["turn_id"]
    host, port = shared.url.removeprefix("http://").split(":")
    lazy = socket.socket()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    lazy.connect((host, int(port)))
    request = f"GET /api/turns/{turn_id}/events HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {ada.token}\r\n\r\n"
    lazy.sendall(request.encode())
    try:
        turn = await ended_well(ada, await read(ada, turn_id, None))
        assert turn["reply"]["content"] == "".join(large)
        lazy.settimeout(10)
        received = b""
        while b"turn.completed" not in received:
            received = received[-100:] + await asyncio.to_thread(lazy.recv, 1 << 20)
    finally:
        lazy.close()


@pytest.mark.parametrize("seen", [0, 1, 3])
async def test_a_client_that_resets_its_connection_loses_nothing(
    shared: Gateway, shared_upstream: ScriptedUpstream, seen: int
) -> None:
    ada = await somebody(shared)
    shared_upstream.default = STEADY
    chat = await ada.chat("plain")
    host, port = shared.url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)))
    body = b'{"content": "Hello"}'
    client.sendall(
        f"POST /api/chats/{chat}/turns HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {ada.token}\r\n"
        f"accept: text/event-stream\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    received = b""
    client.settimeout(10)
    while received.count(b"event: ") < max(seen, 1):
        received += await asyncio.to_thread(client.recv, 65536)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    turn_id = (await ada.messages(chat))[-1]["turn_id"]
    turn = await ended_well(ada, await read(ada, turn_id, None))
    assert (turn["state"], turn["reply"]["content"]) == ("completed", TEXT)


async def test_ids_that_are_none_of_this_turn_are_refused(shared: Gateway, shared_upstream: ScriptedUpstream) -> None:
    ada = await somebody(shared)
    shared_upstream.default = Script(reply="Done")
    turn, other = await ada.turn(await ada.chat()), await ada.turn(await ada.chat())
    path = f"/api/turns/{turn['id']}/events"
    for wrong in (
        f"{other['id']}.1",
        turn["id"],
        f"{turn['id']}.",
        f"{turn['id']}.x",
        f"{turn['id']}.-1",
        "7",
        "é",
        f"{turn['id']}.1.1",
        f"{turn['id']}.99999999999",
        f"{turn['id']}.\u0661",
    ):
        answer = await ada.get(path, headers={"last-event-id": wrong.encode()})
        assert answer.status_code == 400, wrong
        assert answer.json()["code"] == "invalid-input"
    assert (await ada.get(path, headers={"last-event-id": ""})).status_code == 200
    assert (await ada.get(f"/api/turns/{other['user_message_id']}/events")).status_code == 404


async def test_a_silent_turn_is_kept_alive_by_comments(
    hasty: Gateway, shared_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "PING_EVERY", 0.05)
    ada = await somebody(hasty)
    shared_upstream.default = Script(reply=("a", "b"), gap=FOREVER)
    path, body = f"/api/chats/{await ada.chat('plain')}/turns", {"content": "Hello"}
    headers = {**ada.headers, "accept": "text/event-stream"}
    async with ada.client.stream("POST", path, json=body, headers=headers) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert "content-encoding" not in answer.headers
        text = "".join([piece async for piece in answer.aiter_text()])
    assert text.count(": ping\n\n") >= 3
    assert "event: turn.failed" in text
    assert "\r" not in text


async def test_an_ended_turn_without_a_word_keeps_the_number_of_its_end(
    shared: Gateway, shared_upstream: ScriptedUpstream
) -> None:
    ada = await somebody(shared)
    shared_upstream.enqueue(Script(status=400))
    async with ada.stream(await ada.chat("plain")) as source:
        events = await whole(source)
    turn = await ended_well(ada, events)
    assert [event.event for event in events] == ["turn.started", "turn.failed"]
    again = await read(ada, turn["id"], None)
    assert [(event.id, event.event) for event in again] == [(event.id, event.event) for event in events]
    done = await ada.get(f"/api/turns/{turn['id']}/events", headers={"last-event-id": events[-1].id})
    assert done.status_code == 204


async def test_who_claims_to_have_seen_more_than_there_is_learns_how_it_ended(
    shared: Gateway, shared_upstream: ScriptedUpstream
) -> None:
    ada = await somebody(shared)
    shared_upstream.default = Script(reply=WORDS, gap=0.1)
    events = await cut_off_after(ada, await ada.chat("plain"), 1)
    turn_id = json.loads(events[0].data)["turn_id"]
    assert [event.event for event in await read(ada, turn_id, f"{turn_id}.500")] == ["turn.completed"]
