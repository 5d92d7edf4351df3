"""The whole gateway on loopback over a scripted upstream, and a browser in front of it."""

import asyncio
import itertools
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import uvicorn
from playwright.sync_api import BrowserContext, Locator, Page, expect, sync_playwright

from gateway.accounts.first_admin import Bind
from gateway.app import create_app
from gateway.services import open_services
from gateway.settings import Settings
from personas.reload import LiveCatalog
from providers.registry import Registry
from providers.scripted.server import ScriptedUpstream

PERSONAS = """
version: 1
providers:
  house: {{kind: openai-compatible, base_url: "{base_url}"}}
  claude: {{kind: anthropic, key_env: TEST_CLAUDE_KEY}}
  echo: {{kind: echo}}
models:
  fast: {{provider: house, name: scripted, window: 8000, max_output: 500}}
  sonnet: {{provider: claude, name: claude-test, window: 8000, max_output: 500}}
  echo: {{provider: echo, name: echo, window: 8000, max_output: 500}}
personas:
  mia:
    name: Mia
    summary: A patient companion for long evenings.
    model: fast
    system: "You are {{{{char}}}}, and you talk with {{{{user}}}}."
    greetings: ["Good evening, {{{{user}}}}. What shall we talk about?", "You are late, {{{{user}}}}.", "*waves*"]
    tags: [calm]
    access: {{roles: [public]}}
  atlas:
    name: Atlas
    summary: Knows the way.
    model: fast
    system: "You are {{{{char}}}}."
    access: {{roles: [public]}}
  nova: {{name: Nova, system: "You are Nova.", model: sonnet, stand_in: echo, access: {{roles: [public]}}}}
"""
CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    *("--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]
NUMBERS = itertools.count(1)
SIGN_UP = """async (account) => (await fetch("/api/auth/signup", {
  method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(account)})).json()"""
PASSWORD = "a lamp on the far shore"
ROOT = {"username": "root", "email": "root@example.org", "password": PASSWORD}


class Site(NamedTuple):
    """Where the gateway is, what its only model says next, and the gateway itself, to be stopped and started."""

    url: str
    upstream: ScriptedUpstream
    gateway: "RunningGateway"


class _Server(uvicorn.Server):
    """Says when it listens, and leaves the signals to the test run."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: object = None) -> None:
        await super().startup()
        self.listening.set()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with ScriptedUpstream() as upstream:
        personas = folder / "personas.yaml"
        personas.write_text(PERSONAS.format(base_url=upstream.base_url))
        running = RunningGateway(personas, folder)
        running.start()
        _sign_up(running.url, ROOT)
        yield Site(running.url, upstream, running)
        running.stop()


class RunningGateway:
    """The gateway in a thread with a loop of its own; started again, it has the same address and data."""

    def __init__(self, personas: Path, folder: Path) -> None:
        self._settings = Settings(
            _env_file=None,  # type: ignore[call-arg]
            personas=personas,
            data_dir=folder,
            turns_per_minute=1000,
            writes_per_minute=1000,
            drain_seconds=0,
        )
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._server: _Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._ready.clear()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="gateway", daemon=True)
        self._thread.start()
        assert self._ready.wait(30)
        assert self._server is not None
        assert self._server.listening.wait(30)
        self._port = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(15)

    def restart(self) -> None:
        self.stop()
        self.start()

    async def _serve(self) -> None:
        live = LiveCatalog(self._settings.personas)
        bind = Bind("127.0.0.1", loopback=True)
        async with open_services(self._settings, bind, live, Registry(live.current.providers)) as services:
            config = uvicorn.Config(
                create_app(services), port=self._port, lifespan="off", log_config=None, access_log=False
            )
            self._server = _Server(config)
            self._ready.set()
            await self._server.serve()


@pytest.fixture(scope="module")
def context(site: Site) -> Iterator[BrowserContext]:
    """The browser, whose cache is kept from test to test, as people's is.

    It lives no longer than a module: while it does, its event loop runs in this thread, and no other can.
    """
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = browser.new_context(viewport={"width": 1280, "height": 800}, base_url=site.url)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        yield context
        browser.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page where nobody is signed in. Whatever the browser complains about fails the test."""
    expect.set_options(timeout=5_000)
    context.clear_cookies()
    page = context.new_page()
    page.set_default_timeout(5_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    yield page
    for opened in context.pages:
        opened.close()
    # A refused request is told in the console too; what the page makes of it is the tests' affair.
    assert [text for text in complaints if not re.match(r"Failed to load resource", text)] == []


class Visitor:
    """A person who is signed in, at the page."""

    def __init__(self, page: Page, site: Site, user_id: str) -> None:
        self.page = page
        self.upstream = site.upstream
        self.user_id = user_id

    def open_chat(self, persona: str = "Mia") -> None:
        self.page.get_by_role("button", name=persona).click()
        expect(self.message_box).to_be_visible()

    def say(self, text: str) -> None:
        self.message_box.fill(text)
        self.message_box.press("Enter")

    @property
    def message_box(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message", exact=True)

    @property
    def replies(self) -> Locator:
        return self.page.locator(".message.reply .message-body")

    @property
    def said(self) -> Locator:
        return self.page.locator(".message.said .message-body")


@pytest.fixture
def visitor(page: Page, site: Site) -> Visitor:
    """Somebody who has just signed up, and a model with nothing in mind."""
    while site.upstream.next_script() is not None:
        pass
    page.goto("/healthz")
    user = page.evaluate(SIGN_UP, _account("visitor"))["user"]
    page.goto("/")
    expect(page.get_by_role("heading", name="Who would you like to talk to?")).to_be_visible()
    return Visitor(page, site, user["id"])


class Friend(httpx.Client):
    """Somebody else, who calls the API."""

    user_id = ""

    def open_chat(self, persona: str = "atlas", **fields: Any) -> str:
        """Open a chat; its id."""
        answer = self.post("/api/chats", json={"persona": persona, **fields}).raise_for_status()
        return str(answer.json()["id"])

    def say(self, chat: str, content: str) -> None:
        self.post(f"/api/chats/{chat}/messages", json={"content": content}).raise_for_status()


@pytest.fixture
def friend(site: Site) -> Iterator[Friend]:
    told = _sign_up(site.url, _account("friend"))
    with Friend(base_url=site.url, headers=_bearer(told["token"]), trust_env=False) as friend:
        friend.user_id = told["user"]["id"]
        yield friend


@pytest.fixture
def admin(visitor: Visitor, site: Site) -> Visitor:
    """The visitor, once the first account has made them an admin."""
    told = httpx.post(f"{site.url}/api/auth/login", json={"username": "root", "password": PASSWORD}, trust_env=False)
    change = f"{site.url}/api/admin/users/{visitor.user_id}"
    httpx.patch(change, json={"role": "admin"}, headers=_bearer(told.json()["token"]), trust_env=False)
    visitor.page.reload()
    return visitor


def _sign_up(url: str, account: dict[str, str]) -> Any:
    return httpx.post(f"{url}/api/auth/signup", json=account, trust_env=False).raise_for_status().json()


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _account(role: str) -> dict[str, str]:
    name = f"{role}-{next(NUMBERS)}"
    return {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
