"""What people do with their accounts: sign up, log in, prove and change the password, leave.

The native endpoints and the facades call the same functions here.
"""

from datetime import timedelta
from typing import Any, Literal

import msgspec
from litestar.connection import ASGIConnection

from gateway.accounts.first_admin import Bind, is_forwarded
from gateway.accounts.names import check_email, check_username
from gateway.errors import InvalidInput, SignupClosed, Unauthenticated
from gateway.identity import login_limits
from gateway.identity.authentication import Authenticator
from gateway.identity.known_device import known_device, new_device
from gateway.identity.passwords import Passwords, check_password
from gateway.identity.principal import Principal
from gateway.identity.tokens import TokenKind, hash_setup_code, hash_token, new_token
from gateway.settings import Settings, is_loopback
from storage.database import Database
from storage.errors import NotFound
from storage.people import credentials, users
from storage.people.allowances import restore
from storage.people.erasure import delete_user
from storage.people.users import Account


class Client(msgspec.Struct, frozen=True):
    """Where a request comes from: the peer's address, what it calls itself, and whether it is this machine."""

    host: str | None
    user_agent: str
    is_local: bool

    @classmethod
    def of(cls, connection: ASGIConnection[Any, Any, Any, Any]) -> "Client":
        """The client of a request. Forwarded addresses count only where the server trusts the proxy."""
        host = connection.client.host if connection.client else None
        agent = "".join(filter(str.isprintable, connection.headers.get("user-agent", "")))
        is_local = host is not None and is_loopback(host) and not is_forwarded(connection.headers.keys())
        return cls(host, agent[:200], is_local)


class LoggedIn(msgspec.Struct, frozen=True):
    """An account, the token of the login that was just opened for it, and what its browser is known by from now on."""

    account: Account
    token: str
    device: str

    def __repr__(self) -> str:
        return f"LoggedIn({self.account.username!r})"


class Accounts:
    """Sign-up, login and passwords over one database."""

    def __init__(self, settings: Settings, database: Database, bind: Bind, authenticator: Authenticator) -> None:
        self._settings = settings
        self._database = database
        self._bind = bind
        self.authenticator = authenticator
        self.passwords = Passwords()
        self.login_lifetime = timedelta(days=settings.login_days)

    @property
    def signup(self) -> Literal["open", "closed"]:
        """Whether strangers may sign up: as the operator says, or else on loopback only."""
        return self._settings.signup or ("open" if self._bind.loopback else "closed")

    def close(self) -> None:
        """Let the threads that hash passwords end."""
        self.passwords.close()

    async def sign_up(
        self, *, username: str, email: str, password: str, setup_code: str | None, client: Client
    ) -> LoggedIn:
        """Make an account and log it in. Raises `SignupClosed`, `InvalidInput`, `AlreadyTaken`, `Forbidden`."""
        if setup_code is None and self.signup == "closed":
            raise SignupClosed("Sign-up is closed here. Ask an admin for an account.")
        await login_limits.spend_signup(self._database, client.host, loopback=self._bind.loopback)
        check_username(username)
        check_email(email)
        check_password(password, username=username, email=email)
        password_hash = await self.passwords.hash(password)
        account = await self._database.write(
            users.create_user,
            username=username,
            email=email,
            password_hash=password_hash,
            may_be_first_admin=self._bind.loopback and client.is_local,
            setup_code_hash=None if setup_code is None else hash_setup_code(setup_code),
        )
        return await self._open_login(account, password_hash, client)

    async def log_in(self, name: str, password: str, client: Client, device: str | None) -> LoggedIn:
        """Open a login for a username or an email. Who does not exist is told the same, after the same work."""
        found = await self._database.read(users.find_login, name)
        account, proven = found or (None, None)
        known = known_device(device, proven)
        attempt = await login_limits.begin_login(self._database, name, client.host, known)
        right = await self.passwords.verify(proven, password)
        if account is None or proven is None or account.disabled or not right:
            raise Unauthenticated("The name or the password is wrong.")
        await login_limits.pardon(self._database, attempt)
        if self.passwords.is_outdated(proven):
            proven = await self._rehash(account, password, proven)
        return await self._open_login(account, proven, client)

    async def change_password(self, principal: Principal, current: str, new: str, *, revoke_tokens: bool) -> str:
        """Change the password; every other login ends at once, and the access tokens by choice.

        Gives what the browser is known by from now on.
        """
        proven = await self._prove(principal, current, "/current")
        account = await self._database.read(users.load_user, principal.user_id)
        check_password(new, username=account.username, email=account.email, pointer="/new")
        password_hash = await self.passwords.hash(new)
        await self._database.write(
            credentials.change_password,
            principal.user_id,
            password_hash,
            proven=proven,
            keep=principal.credential_id,
            revoke_tokens=revoke_tokens,
        )
        self.authenticator.forget(principal.user_id)
        return new_device(password_hash)

    async def delete(self, principal: Principal, password: str) -> None:
        """Delete the account and all that is theirs."""
        await self._prove(principal, password, "/password")
        await self._database.write_long(delete_user, principal.user_id)
        self.authenticator.forget(principal.user_id)

    async def _prove(self, principal: Principal, password: str, pointer: str) -> str:
        """The stored hash that the password matched; raises `InvalidInput` when it matches none."""
        attempt = await login_limits.begin_password_check(self._database, principal.user_id)
        stored = await self._database.read(users.find_password_hash, principal.user_id)
        if stored is None:
            raise NotFound("This account was deleted.")
        if not await self.passwords.verify(stored, password):
            sentence = "This is not your password."
            raise InvalidInput(sentence, errors=[{"pointer": pointer, "message": sentence}])
        await self._database.write(restore, attempt.key)
        return stored

    async def _rehash(self, account: Account, password: str, proven: str) -> str:
        fresh = await self.passwords.hash(password)
        replaced = await self._database.write(users.replace_password_hash, account.id, fresh, proven=proven)
        return fresh if replaced else proven

    async def _open_login(self, account: Account, proven: str, client: Client) -> LoggedIn:
        token = new_token(TokenKind.login)
        await self._database.write(
            credentials.open_login,
            account.id,
            proven=proven,
            token_hash=hash_token(token),
            user_agent=client.user_agent,
            lifetime=self.login_lifetime,
        )
        self.authenticator.forget(account.id)  # the longest unused login may have given way
        return LoggedIn(account, token, new_device(proven))
