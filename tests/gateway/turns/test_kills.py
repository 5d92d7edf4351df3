"""A real `gateway serve` that is killed under load, again and again: what was acknowledged is there afterwards."""

import asyncio
import json
import os
import random
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from builders import PASSWORD, Person, write_personas
from turn_streams import is_terminal, whole

from providers.scripted.script import FOREVER, Script
from providers.scripted.server import ScriptedUpstream

pytestmark = pytest.mark.anyio

KILLS = int(os.environ.get("KILLS", "25"))
REPLY = tuple(f"word{number} " for number in range(8))
TALKERS = 4


class Acknowledged:
    """What the clients were told, to be compared with what is stored."""

    def __init__(self) -> None:
        self.messages: dict[str, str] = {}
        """User messages by id, with their text."""
        self.turns: dict[str, str] = {}
        """Turns that began, with the text that was told of each."""
        self.ended: dict[str, dict[str, Any]] = {}
        """Turns whose end was told, as it was told."""


class Serving:
    """The process that is served by, and killed."""

    def __init__(self, forker: asyncio.subprocess.Process, port: int, log: Path) -> None:
        self.forker = forker
        self.port = port
        self.log = log
        self.pid = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.pid = int(await self._say(f"start {self.port} {self.log}"))

    async def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        assert await self._say(f"wait {self.pid}") == str(-signal.SIGKILL), self.log.read_text()[-2000:]

    async def until_ready(self) -> None:
        await until_ready(self.url, self.log)

    async def _say(self, command: str) -> str:
        assert self.forker.stdin is not None
        assert self.forker.stdout is not None
        self.forker.stdin.write(command.encode() + b"\n")
        return (await asyncio.wait_for(self.forker.stdout.readline(), 30)).decode().strip()


async def until_ready(url: str, log: Path) -> None:
    end = time.monotonic() + 30
    async with httpx.AsyncClient(base_url=url) as client:
        while time.monotonic() < end:
            with suppress(httpx.TransportError):
                if (await client.get("/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.01)
    raise AssertionError("the gateway did not start: " + log.read_text()[-2000:])


def environment(folder: Path, upstream: ScriptedUpstream) -> dict[str, str]:
    return {
        **os.environ,
        "GATEWAY_DATA_DIR": str(folder),
        "GATEWAY_PERSONAS": str(write_personas(folder, upstream.base_url, upstream.url)),
        "GATEWAY_TURNS_PER_MINUTE": "100000",
        "GATEWAY_WRITES_PER_MINUTE": "100000",
        "GATEWAY_CONCURRENT_TURNS": "50",
        "GATEWAY_OPEN_STREAMS": "50",
        "GATEWAY_DRAIN_SECONDS": "1",
        "GATEWAY_LOG_LEVEL": "warning",
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
async def serving(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> AsyncIterator[Serving]:
    forker = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("forked_serve.py")),
        env=environment(tmp_path, scripted_upstream),
        cwd=tmp_path,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    serving = Serving(forker, free_port(), tmp_path / "serve.log")
    try:
        yield serving
    finally:
        if serving.pid:
            with suppress(ProcessLookupError):
                os.kill(serving.pid, signal.SIGKILL)
        assert forker.stdin is not None
        forker.stdin.close()
        await forker.wait()


@asynccontextmanager
async def somebody(url: str, name: str) -> AsyncIterator[Person]:
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
        answer = await client.post("/api/auth/signup", json=body)
        assert answer.status_code == 201, answer.text
        yield Person(client, answer.json())


async def talk(person: Person, chat: str, chance: random.Random, acknowledged: Acknowledged) -> None:
    """Ask in all the ways there are, until the connection breaks."""
    with suppress(httpx.TransportError):
        while True:
            content = f"question {chance.random()}"
            match chance.choice(["stream", "stream", "wait", "say"]):
                case "stream":
                    await _stream(person, chat, content, acknowledged)
                case "wait":
                    answer = await person.post(f"/api/chats/{chat}/turns", {"content": content})
                    assert answer.status_code == 200, answer.text
                    turn = answer.json()
                    acknowledged.messages[turn["user_message_id"]] = content
                    acknowledged.ended[turn["id"]] = turn
                case "say":
                    answer = await person.post(f"/api/chats/{chat}/messages", {"content": content})
                    assert answer.status_code == 201, answer.text
                    acknowledged.messages[answer.json()["id"]] = content


async def _stream(person: Person, chat: str, content: str, acknowledged: Acknowledged) -> None:
    async with person.stream(chat, content) as source:
        async for event in source:
            data = json.loads(event.data)
            if event.event == "turn.started":
                turn_id = data["turn_id"]
                acknowledged.messages[data["user_message_id"]] = content
                acknowledged.turns[turn_id] = ""
            elif event.event == "reply.delta":
                acknowledged.turns[turn_id] += data["text"]
            elif is_terminal(event):
                acknowledged.ended[turn_id] = data


def require_whole(path: Path, acknowledged: Acknowledged) -> None:
    """The database holds all that was acknowledged, and nothing that is half."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        messages = dict(database.execute("SELECT id, content FROM message").fetchall())
        lost = [one for one, content in acknowledged.messages.items() if messages.get(UUID(one).hex) != content]
        assert not lost, f"{len(lost)} of {len(acknowledged.messages)} acknowledged messages are lost"
        rows = database.execute(
            "SELECT turn.id, turn.state, message.state, message.content, finish_reason, output_tokens, ended_at"
            " FROM turn JOIN message ON message.id = reply_message_id"
        ).fetchall()
        turns = {row[0]: row for row in rows}
        assert {row[1] for row in rows} <= {"completed", "interrupted"}
        for _, state, of_reply, content, finish_reason, output_tokens, ended_at in rows:
            assert state == of_reply
            assert ended_at is not None
            assert "".join(REPLY).startswith(content)
            if state == "completed":
                assert (content, finish_reason, output_tokens is not None) == ("".join(REPLY), "stop", True)
        for turn_id in acknowledged.turns:
            assert UUID(turn_id).hex in turns
        for turn_id, told in acknowledged.ended.items():
            stored = turns[UUID(turn_id).hex]
            assert (stored[1], stored[3]) == (told["state"], told["reply"]["content"])
        running = database.execute("SELECT count(*) FROM message WHERE state = 'running'").fetchone()
        assert running == (0,)
        alone = database.execute(
            "SELECT count(*) FROM message WHERE role = 'assistant' AND parent_id IS NOT NULL"
            " AND id NOT IN (SELECT reply_message_id FROM turn)"
        ).fetchone()
        assert alone == (0,), "replies without a turn"
        gaps = database.execute(
            "SELECT conversation.id FROM conversation JOIN message ON conversation_id = conversation.id"
            " GROUP BY conversation.id HAVING count(*) != last_seq OR max(seq) != last_seq OR min(seq) != 1"
            " OR count(DISTINCT seq) != last_seq"
        ).fetchall()
        assert gaps == []
    finally:
        database.close()


async def kill_again_and_again(serving: Serving, upstream: ScriptedUpstream, folder: Path, kills: int) -> Acknowledged:
    upstream.default = Script(reply=REPLY, gap=0.012)
    chance, acknowledged = random.Random(11), Acknowledged()
    await serving.start()
    await serving.until_ready()
    async with somebody(serving.url, "ada") as ada:
        chats = [await ada.chat("plain") for _ in range(TALKERS)]
        for number in range(kills):
            if number % 6 == 5:  # in the midst of its start
                await asyncio.sleep(chance.uniform(0, 0.25))
            else:
                await serving.until_ready()
                require_whole(folder / "gateway.db", acknowledged)
                talking = [asyncio.create_task(talk(ada, chat, chance, acknowledged)) for chat in chats]
                await asyncio.sleep(chance.uniform(0.02, 0.45))
                assert not any(task.done() for task in talking), [task for task in talking if task.done()]
            await serving.kill()
            await asyncio.wait_for(asyncio.gather(*talking), 10)
            await serving.start()
        await serving.until_ready()
        require_whole(folder / "gateway.db", acknowledged)
        for chat in chats:  # none is stuck
            assert (await ada.turn(chat, "Still there?"))["state"] == "completed"
    return acknowledged


async def test_killed_under_load_it_loses_nothing(
    serving: Serving, scripted_upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    acknowledged = await kill_again_and_again(serving, scripted_upstream, tmp_path, KILLS)
    assert len(acknowledged.messages) > KILLS
    assert len(acknowledged.turns) > len(acknowledged.ended) > 0, "no kill hit a turn"


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_killed_a_thousand_times_it_loses_nothing(
    serving: Serving, scripted_upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    acknowledged = await kill_again_and_again(serving, scripted_upstream, tmp_path, 1000)
    assert len(acknowledged.messages) > 1000


async def test_asked_to_stop_it_ends_every_stream_and_exits_in_time(
    scripted_upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    scripted_upstream.default = Script(reply=("so far", "never"), gap=FOREVER)
    port, log = free_port(), tmp_path / "serve.log"
    with log.open("wb") as file:
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", "serve", "--port", str(port)),
            env=environment(tmp_path, scripted_upstream),
            cwd=tmp_path,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        await until_ready(f"http://127.0.0.1:{port}", log)
        async with somebody(f"http://127.0.0.1:{port}", "ada") as ada:
            begun = asyncio.Semaphore(0)

            async def read(chat: str) -> list[Any]:
                async with ada.stream(chat) as source:
                    events = [await anext(source), await anext(source)]
                    begun.release()
                    return events + await whole(source)

            readings = [asyncio.create_task(read(await ada.chat("plain"))) for _ in range(20)]
            for _ in readings:
                await asyncio.wait_for(begun.acquire(), 10)
            asked = time.monotonic()
            server.send_signal(signal.SIGTERM)
            streams = await asyncio.wait_for(asyncio.gather(*readings), 10)
            assert await asyncio.wait_for(server.wait(), 10) == 0, log.read_text()[-2000:]
            assert time.monotonic() - asked < 1 + 2
        for events in streams:
            turn = json.loads(events[-1].data)
            assert events[-1].event == "turn.failed"
            assert (turn["state"], turn["reply"]["content"]) == ("interrupted", "so far")
        stored = sqlite3.connect(tmp_path / "gateway.db")
        assert stored.execute("SELECT state, count(*) FROM turn GROUP BY state").fetchall() == [("interrupted", 20)]
        stored.close()
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()
