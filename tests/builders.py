"""What tests are about, made with as few words as possible."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import uvicorn
from httpx_sse import ServerSentEvent, aconnect_sse

from gateway.accounts.first_admin import Bind
from gateway.app import create_app
from gateway.http.bounded_connection import BoundedConnection
from gateway.services import Services, open_services
from gateway.settings import Settings
from personas.reload import LiveCatalog
from providers.registry import Registry
from providers.upstream.clocks import Clocks
from storage.people.users import UserRole, change_standing

PASSWORD = "a long enough passphrase"

PERSONAS = """\
version: 1
providers:
  house: {{kind: openai-compatible, base_url: "{openai}"}}
  claude: {{kind: anthropic, base_url: "{anthropic}", key_env: TEST_CLAUDE_KEY}}
  nobody: {{kind: openai-compatible, base_url: "http://127.0.0.1:9/v1"}}
  echo: {{kind: echo}}
models:
  fast: {{provider: house, name: some-model, window: 8000, max_output: 1000}}
  spare: {{provider: house, name: spare-model, window: 8000, max_output: 1000}}
  small: {{provider: house, name: small-model, window: 900, max_output: 100}}
  sonnet: {{provider: claude, name: claude-test, window: 8000, max_output: 1000}}
  gone: {{provider: nobody, name: gone, window: 8000, max_output: 1000}}
  echo: {{provider: echo, name: echo, window: 8000, max_output: 1000}}
defaults:
  model: fast
  access: {{roles: [member]}}
personas:
  mia: {{name: Mia, system: "You are {{{{char}}}}.", greetings: ["Hi {{{{user}}}}", "Back so soon, {{{{user}}}}?"]}}
  plain: {{name: Plain, system: "You are plain."}}
  backed: {{name: Backed, system: "You are backed.", fallbacks: [spare]}}
  tight: {{name: Tight, system: "You are brief.", model: small}}
  claude: {{name: Claude, system: "You are Claude.", model: sonnet}}
  lost: {{name: Lost, system: "You are lost.", model: gone}}
  parrot: {{name: Parrot, system: "You repeat.", model: echo}}
  staff: {{name: Staff, system: "You serve moderators.", access: {{roles: [moderator]}}, show_prompt: operators}}
"""


class Person:
    """Somebody with an account, and a client that speaks for them."""

    def __init__(self, client: httpx.AsyncClient, answer: dict[str, Any]) -> None:
        self.client = client
        self.id: str = answer["user"]["id"]
        self.username: str = answer["user"]["username"]
        self.role: str = answer["user"]["role"]
        self.token: str = answer["token"]
        self.headers = {"authorization": f"Bearer {self.token}"}

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request of theirs."""
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        return await self.request("POST", path, json=body, **options)

    async def put(self, path: str, body: Any = None) -> httpx.Response:
        return await self.request("PUT", path, json=body)

    async def patch(self, path: str, body: Any = None) -> httpx.Response:
        return await self.request("PATCH", path, json=body)

    async def delete(self, path: str, body: Any = None) -> httpx.Response:
        return await self.request("DELETE", path, json=body)

    async def chat(self, persona: str = "mia", **fields: Any) -> str:
        """Open a chat; its id."""
        answer = await self.post("/api/chats", {"persona": persona, **fields})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def turn(self, chat_id: str, content: str = "Hello", **fields: Any) -> dict[str, Any]:
        """Ask for a turn and wait for it; the turn."""
        answer = await self.post(f"/api/chats/{chat_id}/turns", {"content": content, **fields})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def messages(self, chat_id: str) -> list[dict[str, Any]]:
        """The chat's active branch."""
        return list((await self.get(f"/api/chats/{chat_id}/messages?limit=100")).json()["data"])

    @asynccontextmanager
    async def stream(
        self, chat_id: str, content: str = "Hello", headers: dict[str, str] | None = None, **fields: Any
    ) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
        """Ask for a turn as a stream; its events."""
        path = f"/api/chats/{chat_id}/turns"
        body = {"content": content, **fields}
        async with self.events("POST", path, json=body, headers=headers) as events:
            yield events

    @asynccontextmanager
    async def events(
        self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any
    ) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
        """The events of any stream."""
        headers = {**self.headers, **(headers or {})}
        async with aconnect_sse(self.client, method, path, headers=headers, **options) as source:
            source.response.raise_for_status()
            yield source.aiter_sse()


def text_of(events: list[ServerSentEvent]) -> str:
    """The reply that some events tell: the deltas after the last snapshot."""
    text = ""
    for event in events:
        if event.event == "turn.snapshot":
            text = json.loads(event.data)["text"]
        elif event.event == "reply.delta":
            text += json.loads(event.data)["text"]
    return text


class Gateway:
    """A gateway that serves real HTTP in the test's own event loop."""

    def __init__(self, services: Services, url: str) -> None:
        self.services = services
        self.url = url
        self._clients: list[httpx.AsyncClient] = []

    def client(self) -> httpx.AsyncClient:
        """A client that is closed with the gateway."""
        client = httpx.AsyncClient(base_url=self.url, timeout=20)
        self._clients.append(client)
        return client

    async def person(self, username: str, role: str | None = None) -> Person:
        """Sign somebody up. The first one is the admin; `role` is given to later ones by changing their row."""
        body = {"username": username, "email": f"{username}@example.org", "password": PASSWORD}
        answer = await self.client().post("/api/auth/signup", json=body)
        assert answer.status_code == 201, answer.text
        person = Person(self.client(), answer.json())
        if role is not None:
            await self.services.database.write(change_standing, None, UUID(person.id), role=UserRole(role))
            self.services.accounts.authenticator.forget(UUID(person.id))
            person.role = role
        return person

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the signals are the test runner's


@asynccontextmanager
async def serve_gateway(
    settings: Settings,
    *,
    loopback: bool = True,
    clocks: Clocks = Clocks(),  # noqa: B008 - frozen
) -> AsyncIterator[Gateway]:
    """A gateway on a free port, as `gateway serve` would put it together; its calls to models keep to `clocks`."""
    live = LiveCatalog(settings.personas)
    bind = Bind("127.0.0.1", loopback)
    providers = Registry(live.current.providers, clocks=clocks, word_delay=0)
    async with open_services(settings, bind, live, providers) as services:
        # The protocol is named, or asyncio would not turn Nagle's algorithm off: 40 ms a request.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            create_app(services),
            http=BoundedConnection,
            ws="none",
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=2,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            if serving.done():
                serving.result()
            await asyncio.sleep(0.005)
        gateway = Gateway(services, f"http://127.0.0.1:{listener.getsockname()[1]}")
        try:
            yield gateway
        finally:
            await gateway.close()
            server.should_exit = True
            await serving


def write_personas(folder: Path, openai: str, anthropic: str) -> Path:
    """The personas of the tests, answered by a scripted upstream."""
    path = folder / "personas.yaml"
    path.write_text(PERSONAS.format(openai=openai, anthropic=anthropic))
    return path
