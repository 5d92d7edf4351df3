"""A gateway as operators run it, `gateway serve`, with people and their chats."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
from load import Ask
from processes import Server, process

BUDGET = 2000
"""Tokens of the Context that a persona may have: in steady state each turn sends 16 to 20 earlier turns."""

HEAD = """\
version: 1
providers:
  house: {{kind: openai-compatible, base_url: "http://127.0.0.1:{port}/v1"}}
defaults:
  context: {{max_input_tokens: {budget}}}
  access: {{roles: [member]}}
"""
MODEL = """\
  {shape}: {{provider: house, name: {shape}, window: 8000, max_output: 1000}}
"""
PERSONA = """\
  {shape}:
    name: Mia
    model: {shape}
    system: |
      You are {{{{char}}}}, the keeper of a lighthouse. You talk with {{{{user}}}}.
      Answer in short and friendly sentences. If you do not know something, say so.
    post_history: Stay in character.
"""

MANY = "1000000"


class Chat(msgspec.Struct, frozen=True):
    """A chat, and who talks in it."""

    id: str
    user_id: str
    token: str

    def ask(self) -> Ask:
        """The request for a turn, streamed."""
        headers = {
            "authorization": f"Bearer {self.token}",
            "content-type": "application/json",
            "accept": "text/event-stream",
        }
        return Ask(f"/api/chats/{self.id}/turns", headers, '{"content":"What do you see from your window today?"}')


class Gateway(msgspec.Struct, frozen=True):
    """A running gateway, with people who are logged in: (id, token) of each."""

    server: Server
    database: str
    people: list[tuple[str, str]]

    def open_chats(self, shape: str, count: int) -> list[Chat]:
        """Chats with a persona whose model answers in this shape; the people take turns in opening them."""
        chats = []
        with httpx.Client(base_url=f"http://127.0.0.1:{self.server.port}", timeout=30, trust_env=False) as client:
            for number in range(count):
                user_id, token = self.people[number % len(self.people)]
                headers = {"authorization": f"Bearer {token}"}
                opened = client.post("/api/chats", json={"persona": shape}, headers=headers).raise_for_status().json()
                chats.append(Chat(opened["id"], user_id, token))
        return chats


@contextmanager
def gateway(
    upstream: Server, shapes: Iterable[str], *, people: int = 4, database: str | None = None
) -> Iterator[Gateway]:
    """A gateway with a persona for each shape of an answer; SQLite unless said otherwise."""
    with tempfile.TemporaryDirectory(prefix="bench-gateway-") as name, socket.create_server(("127.0.0.1", 0)) as probe:
        folder = Path(name)
        port = probe.getsockname()[1]
        probe.close()
        personas = folder / "personas.yaml"
        personas.write_text(_personas(upstream, list(shapes)))
        address = database or f"sqlite:///{folder / 'gateway.db'}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")} | {
            "GATEWAY_DATA_DIR": str(folder),
            "GATEWAY_DATABASE_URL": address,
            "GATEWAY_PERSONAS": str(personas),
            "GATEWAY_TURNS_PER_MINUTE": MANY,
            "GATEWAY_WRITES_PER_MINUTE": MANY,
            "GATEWAY_CONCURRENT_TURNS": MANY,
            "GATEWAY_OPEN_STREAMS": MANY,
            "GATEWAY_DRAIN_SECONDS": "0",
        }
        command = [sys.executable, "-m", "gateway.cli", "serve", "--port", str(port)]
        with (
            (folder / "log").open("wb") as log,
            process(command, environment, stdout=subprocess.DEVNULL, stderr=log) as running,
        ):
            server = Server(running.pid, port)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
                _wait_until_ready(client, running, folder / "log")
                logins = _sign_up(client, people)
            yield Gateway(server, address, logins)


def _wait_until_ready(client: httpx.Client, running: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and running.poll() is None:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"the gateway did not start:\n{log.read_text()[-2000:]}")


def _sign_up(client: httpx.Client, people: int) -> list[tuple[str, str]]:
    logins = []
    for number in range(people):
        name = f"keeper{number}"
        body = {"username": name, "email": f"{name}@example.org", "password": "a long enough passphrase"}
        answer = client.post("/api/auth/signup", json=body).raise_for_status().json()
        logins.append((answer["user"]["id"], answer["token"]))
        client.cookies.clear()
    return logins


def _personas(upstream: Server, shapes: list[str]) -> str:
    text = HEAD.format(port=upstream.port, budget=BUDGET)
    text += "models:\n" + "".join(MODEL.format(shape=shape) for shape in shapes)
    return text + "personas:\n" + "".join(PERSONA.format(shape=shape) for shape in shapes)
