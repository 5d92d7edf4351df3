"""The routes of accounts over HTTP, on a SQLite file of their own."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import argon2
import httpx
import pytest
from litestar import Litestar, WebSocket, get, websocket
from litestar.di import Provide
from litestar.types import ASGIApp, Receive, Scope, Send

from gateway.accounts.accounts import Accounts
from gateway.accounts.first_admin import Bind
from gateway.accounts.routers import ROUTERS
from gateway.http.problems import HANDLERS
from gateway.identity import passwords
from gateway.identity.authentication import Authentication, Authenticator
from gateway.identity.guards import PUBLIC, json_only
from gateway.readers import Readers
from gateway.settings import Settings
from storage.database import Database, open_database

LOOPBACK = Bind("127.0.0.1", loopback=True)
OUTSIDE = Bind("0.0.0.0", loopback=False)
GOOD = "correct horse battery"
"""A password that the rules accept."""


class House:
    """The accounts of a gateway, and browsers and programs that call it."""

    def __init__(self, app: ASGIApp, database: Database, accounts: Accounts) -> None:
        self.app = app
        self.database = database
        self.accounts = accounts
        self.routes = _routes().routes
        self._clients: list[httpx.AsyncClient] = []

    def client(
        self, token: str | None = None, *, peer: str = "127.0.0.1", base: str = "https://gateway.test"
    ) -> httpx.AsyncClient:
        """A caller at this address: nobody, or with this token as a Bearer."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(peer, 1))
        client = httpx.AsyncClient(transport=transport, base_url=base, headers=headers)
        self._clients.append(client)
        return client

    async def sign_up(self, name: str, **more: Any) -> dict[str, Any]:
        """The answer of a sign-up that succeeds."""
        body = {"username": name, "email": f"{name}@example.org", "password": GOOD, **more}
        answer = await self.client().post("/api/auth/signup", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def person(self, name: str) -> httpx.AsyncClient:
        """A new person, calling with the token of their login."""
        return self.client((await self.sign_up(name))["token"])

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


@get("/anybody", opt=PUBLIC)
async def anybody() -> str:
    return "hello"


@websocket("/socket")
async def socket(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.send_json({"user": getattr(socket.user, "username", None)})
    await socket.close()


_given: ContextVar[dict[str, Any]] = ContextVar("what the handlers of the house that is called are given")


def _provide(name: str) -> Provide:
    return Provide(lambda: _given.get()[name], sync_to_thread=False)


def _authenticate(app: ASGIApp) -> ASGIApp:
    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        await _given.get()["authentication"](app)(scope, receive, send)

    return middleware


@cache
def _routes() -> Litestar:
    """The application, made once for all houses: making it takes longer than most tests."""
    return Litestar(
        [*ROUTERS, anybody, socket],
        dependencies={name: _provide(name) for name in ("settings", "database", "bind", "accounts")},
        guards=[json_only],
        middleware=[_authenticate],
        exception_handlers=HANDLERS,
        logging_config=None,
    )


@asynccontextmanager
async def opened(folder: Path, bind: Bind, **settings: Any) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        database = await open_database(f"sqlite:///{folder / 'accounts.db'}")
        stack.push_async_callback(database.close)
        chosen = Settings(_env_file=None, **settings)  # type: ignore[call-arg]
        idle = timedelta(days=chosen.login_idle_days)
        authenticator = Authenticator(database, Readers(database, most=8, idle=idle), idle=idle)
        stack.push_async_callback(authenticator.close)
        accounts = Accounts(chosen, database, bind, authenticator)
        stack.callback(accounts.close)
        authentication = Authentication(authenticator, trusted_origins=chosen.cors_origins)
        given = {"settings": chosen, "database": database, "bind": bind, "accounts": accounts}

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            _given.set({**given, "authentication": authentication})
            await _routes()(scope, receive, send)

        house = House(app, database, accounts)
        stack.push_async_callback(house.close)
        yield house


@pytest.fixture
async def open_house(
    tmp_path: Path, migrated_sqlite: Path, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Any]:
    """Opens a gateway's accounts, bound to loopback unless told otherwise. Its argon2 is a quick one."""
    quick = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", quick)
    shutil.copy(migrated_sqlite, tmp_path / "accounts.db")
    async with AsyncExitStack() as stack:

        async def open_one(bind: Bind = LOOPBACK, **settings: Any) -> House:
            return await stack.enter_async_context(opened(tmp_path, bind, **settings))

        yield open_one


@pytest.fixture
async def house(open_house: Any) -> House:
    """Bound to loopback, with open sign-up, before anybody came."""
    return await open_house()  # type: ignore[no-any-return]
