"""From a request to a `Principal`: a Bearer token, or else the page's cookie, or else nobody.

Every request passes here, so what a token stands for is remembered in this process for a second. A change made
in this process takes effect at once (`Authenticator.forget`), one made by another within that second.
"""

import asyncio
import logging
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID

from litestar.types import ASGIApp, Receive, Scope, Send

from gateway.errors import Unauthenticated
from gateway.identity.cookie import session_cookie
from gateway.identity.cross_site import SAFE_METHODS, require_same_origin
from gateway.identity.principal import ANONYMOUS, Caller, Principal
from gateway.identity.tokens import TokenKind, hash_token, kind_of
from gateway.readers import Readers
from storage.database import Database
from storage.errors import StorageError
from storage.people.credentials import Credential, find_credential, mark_seen

logger = logging.getLogger("gateway")

REMEMBERED_SECONDS = 1.0
MOST_REMEMBERED = 4096
SEEN_EVERY = timedelta(minutes=1)


class Authenticator:
    """Says who a token stands for. `idle` is how long a login may stay unused."""

    def __init__(self, database: Database, readers: Readers, *, idle: timedelta) -> None:
        self._database = database
        self._readers = readers
        self._idle = idle
        self._remembered: dict[tuple[bytes, bool], tuple[float, Principal]] = {}
        self._changes = 0
        self._marking: dict[UUID, asyncio.Task[None]] = {}

    async def identify(self, token: str, *, via_cookie: bool = False) -> Principal:
        """Who the token stands for. Raises `Unauthenticated` when it is malformed, unknown, expired or revoked."""
        key = (hash_token(token), via_cookie)
        remembered = self._remembered.get(key)
        if remembered is not None and remembered[0] > time.monotonic():
            return remembered[1]
        kind = kind_of(token)
        if kind is None or (via_cookie and kind is not TokenKind.login):
            raise Unauthenticated("This is no token of this gateway. Check that it was copied as a whole.")
        changes = self._changes
        credential = await self._database.read(
            find_credential, key[0], is_login=kind is TokenKind.login, idle=self._idle
        )
        if credential is None:
            raise Unauthenticated("This token has expired, or was revoked. Log in again.")
        self._mark_seen(credential, is_login=kind is TokenKind.login)
        principal = _principal(credential, via_cookie)
        if changes == self._changes:  # otherwise a revocation overtook our reading
            self._remember(key, principal)
        return principal

    def forget(self, user_id: UUID) -> None:
        """Look a person's credentials up anew, for what they read already too: call it after each commit that ends or
        changes one."""
        self._changes += 1
        self._readers.look_again(user_id)
        self._remembered = {key: known for key, known in self._remembered.items() if known[1].user_id != user_id}

    async def close(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._marking.values())

    def _remember(self, key: tuple[bytes, bool], principal: Principal) -> None:
        self._remembered.pop(key, None)
        if len(self._remembered) >= MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[key] = (time.monotonic() + REMEMBERED_SECONDS, principal)

    def _mark_seen(self, credential: Credential, *, is_login: bool) -> None:
        seen = credential.last_seen_at
        if credential.id in self._marking or (seen is not None and datetime.now(UTC) - seen < SEEN_EVERY):
            return
        task = asyncio.create_task(self._write_seen(credential.id, is_login=is_login))
        self._marking[credential.id] = task
        task.add_done_callback(lambda _: self._marking.pop(credential.id, None))

    async def _write_seen(self, credential_id: UUID, *, is_login: bool) -> None:
        try:
            await self._database.write(mark_seen, credential_id, is_login=is_login)
        except StorageError as error:
            logger.warning("the last use of a credential could not be noted: %s", error.message)


class Authentication:
    """The middleware: puts the caller into `scope["user"]`, and refuses what another site's page made a browser send.

    A bad Bearer token is refused wherever it is sent. A stale cookie was sent by the browser, not by anybody's wish:
    it makes the caller nobody, and the guards of the routes that take more answer 401.
    """

    def __init__(self, authenticator: Authenticator, *, trusted_origins: Collection[str]) -> None:
        self._authenticator = authenticator
        self._trusted_origins = trusted_origins

    def __call__(self, app: ASGIApp) -> ASGIApp:
        """Wrap an application."""

        async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
            scope["user"] = await self._caller(scope)
            await app(scope, receive, send)

        return middleware

    async def _caller(self, scope: Scope) -> Caller:
        safe = scope.get("method") in SAFE_METHODS  # a WebSocket has no method, and can do anything
        if scope["route_handler"].opt.get("public"):
            if not safe:
                require_same_origin(scope, self._trusted_origins)
            return ANONYMOUS
        cookie = None
        for name, value in scope["headers"]:
            if name == b"authorization" and value[:7].lower() == b"bearer ":
                return await self._authenticator.identify(value[7:].strip().decode("latin-1"))
            if name == b"cookie":
                cookie = session_cookie(value) or cookie
        if cookie is None:
            return ANONYMOUS
        try:
            principal = await self._authenticator.identify(cookie.decode("latin-1"), via_cookie=True)
        except Unauthenticated:
            return ANONYMOUS
        if not safe:
            require_same_origin(scope, self._trusted_origins)
        return principal


def _principal(credential: Credential, via_cookie: bool) -> Principal:
    return Principal(
        user_id=credential.user_id,
        username=credential.username,
        display_name=credential.display_name,
        role=credential.role,
        scopes=None if credential.scopes is None else frozenset(credential.scopes),
        credential_id=credential.id,
        via_cookie=via_cookie,
    )
