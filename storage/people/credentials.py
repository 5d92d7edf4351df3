"""What people prove themselves with: logins (AuthSession) and access tokens. Only hashes of them are stored."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import JSON, Column, Connection, LargeBinary, Row, bindparam, delete, insert, select, update
from sqlmodel import Field, col

from storage.database.columns import Table, UTCDateTime, new_id, now
from storage.errors import Conflict, NotFound
from storage.people.audit_log import record
from storage.people.users import User, UserRole, replace_password_hash

MAX_LOGINS = 20
"""Logins a person may have at a time; the longest unused one gives way."""

MAX_TOKENS = 50


class AuthSession(Table, table=True):
    """One login. `expires_at` is absolute; `last_seen_at` is written at most once a minute."""

    __tablename__ = "auth_session"

    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE", index=True)
    token_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False, unique=True))
    user_agent: str
    created_at: datetime = Field(sa_type=UTCDateTime)
    last_seen_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)


class AccessToken(Table, table=True):
    """A token that a person made for a program; `display` is its first characters, to tell it from others."""

    __tablename__ = "access_token"

    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE", index=True)
    name: str
    token_hash: bytes = Field(sa_column=Column(LargeBinary(32), nullable=False, unique=True))
    display: str
    scopes: list[str] = Field(sa_column=Column(JSON, nullable=False))
    created_at: datetime = Field(sa_type=UTCDateTime)
    last_seen_at: datetime | None = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """Who a token stands for. `scopes` is None for a login, which may do all that its person may."""

    id: UUID
    user_id: UUID
    username: str
    display_name: str
    role: UserRole
    scopes: tuple[str, ...] | None
    last_seen_at: datetime | None
    expires_at: datetime


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A login as its person sees it in the list."""

    id: UUID
    user_agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """An access token as its person sees it in the list: never the token."""

    id: UUID
    name: str
    display: str
    scopes: list[str]
    created_at: datetime
    last_seen_at: datetime | None
    expires_at: datetime


LOGIN_STANDS = (
    col(AuthSession.expires_at) > bindparam("moment"),
    col(AuthSession.last_seen_at) > bindparam("seen_since"),
    col(User.disabled).is_(False),
)
TOKEN_STANDS = (col(AccessToken.expires_at) > bindparam("moment"), col(User.disabled).is_(False))
"""When a credential that is stored counts, beside its person's row."""

_PERSON = (col(User.username), col(User.display_name), col(User.role))
_FIND_LOGIN = (
    select(
        col(AuthSession.id),
        col(AuthSession.user_id),
        col(AuthSession.last_seen_at),
        col(AuthSession.expires_at),
        *_PERSON,
    )
    .join(User, col(User.id) == col(AuthSession.user_id))
    .where(col(AuthSession.token_hash) == bindparam("token_hash"), *LOGIN_STANDS)
)
_FIND_TOKEN = (
    select(
        col(AccessToken.id),
        col(AccessToken.user_id),
        col(AccessToken.scopes),
        col(AccessToken.last_seen_at),
        col(AccessToken.expires_at),
        *_PERSON,
    )
    .join(User, col(User.id) == col(AccessToken.user_id))
    .where(col(AccessToken.token_hash) == bindparam("token_hash"), *TOKEN_STANDS)
)


_LOCK_PERSON = (
    select(col(User.password_hash), col(User.disabled))
    .where(col(User.id) == bindparam("user_id"))
    .with_for_update(key_share=True)
)


def open_login(
    connection: Connection, user_id: UUID, *, proven: str, token_hash: bytes, user_agent: str, lifetime: timedelta
) -> UUID:
    """Store a new login; the longest unused ones beyond `MAX_LOGINS` end.

    `proven` is the password hash that was verified. Raises `Conflict` when it is not the person's any more, or they
    were shut out: a login that began before that must not outlive it.
    """
    person = connection.execute(_LOCK_PERSON, {"user_id": user_id}).first()
    if person is None or person.password_hash != proven or person.disabled:
        raise Conflict("The account was changed at this moment. Log in again.")
    moment = now()
    login_id = new_id()
    connection.execute(
        insert(AuthSession).values(
            id=login_id,
            user_id=user_id,
            token_hash=token_hash,
            user_agent=user_agent,
            created_at=moment,
            last_seen_at=moment,
            expires_at=moment + lifetime,
        )
    )
    kept = (
        select(col(AuthSession.id))
        .where(col(AuthSession.user_id) == user_id)
        .order_by(col(AuthSession.last_seen_at).desc(), col(AuthSession.id).desc())
        .limit(MAX_LOGINS)
    )
    connection.execute(delete(AuthSession).where(col(AuthSession.user_id) == user_id, col(AuthSession.id).not_in(kept)))
    return login_id


def find_credential(connection: Connection, token_hash: bytes, *, is_login: bool, idle: timedelta) -> Credential | None:
    """Who the token of this hash stands for, or None when it is unknown, expired, idle for too long or disabled."""
    moment = now()
    bound = {"token_hash": token_hash, "moment": moment, "seen_since": moment - idle}
    row: Row[Any] | None = connection.execute(_FIND_LOGIN if is_login else _FIND_TOKEN, bound).first()
    if row is None:
        return None
    return Credential(
        id=row.id,
        user_id=row.user_id,
        username=row.username,
        display_name=row.display_name,
        role=UserRole(row.role),
        scopes=None if is_login else tuple(row.scopes),
        last_seen_at=row.last_seen_at,
        expires_at=row.expires_at,
    )


def mark_seen(connection: Connection, credential_id: UUID, *, is_login: bool) -> None:
    """Note that the credential was used just now."""
    table = AuthSession if is_login else AccessToken
    connection.execute(update(table).where(col(table.id) == credential_id).values(last_seen_at=now()))


def list_logins(connection: Connection, user_id: UUID) -> list[Login]:
    """A person's logins, newest first."""
    rows = connection.execute(
        select(
            col(AuthSession.id),
            col(AuthSession.user_agent),
            col(AuthSession.created_at),
            col(AuthSession.last_seen_at),
            col(AuthSession.expires_at),
        )
        .where(col(AuthSession.user_id) == user_id)
        .order_by(col(AuthSession.id).desc())
    )
    return [Login(**row._mapping) for row in rows]


def end_login(connection: Connection, user_id: UUID, login_id: UUID) -> None:
    """End one of a person's logins at once, or `NotFound`."""
    ended = connection.execute(
        delete(AuthSession).where(col(AuthSession.id) == login_id, col(AuthSession.user_id) == user_id)
    )
    if ended.rowcount == 0:
        raise NotFound("There is no such login.")


def end_logins(connection: Connection, user_id: UUID, *, but: UUID | None = None) -> None:
    """End all of a person's logins, but for one."""
    connection.execute(delete(AuthSession).where(col(AuthSession.user_id) == user_id, col(AuthSession.id) != but))


def create_access_token(
    connection: Connection,
    user_id: UUID,
    *,
    name: str,
    token_hash: bytes,
    display: str,
    scopes: Sequence[str],
    lifetime: timedelta,
) -> IssuedToken:
    """Store a new access token. Raises `Conflict` when the person has `MAX_TOKENS` of them."""
    connection.execute(_LOCK_PERSON, {"user_id": user_id})
    if len(list_access_tokens(connection, user_id)) >= MAX_TOKENS:
        raise Conflict(f"You have {MAX_TOKENS} access tokens. Revoke one that you do not need.")
    moment = now()
    values: dict[str, Any] = {
        "id": new_id(),
        "name": name,
        "display": display,
        "scopes": list(scopes),
        "created_at": moment,
        "last_seen_at": None,
        "expires_at": moment + lifetime,
    }
    connection.execute(insert(AccessToken).values(user_id=user_id, token_hash=token_hash, **values))
    record(connection, user_id, "access_token.created", str(values["id"]), name=name, scopes=list(scopes))
    return IssuedToken(**values)


def list_access_tokens(connection: Connection, user_id: UUID) -> list[IssuedToken]:
    """A person's access tokens, newest first."""
    rows = connection.execute(
        select(
            col(AccessToken.id),
            col(AccessToken.name),
            col(AccessToken.display),
            col(AccessToken.scopes),
            col(AccessToken.created_at),
            col(AccessToken.last_seen_at),
            col(AccessToken.expires_at),
        )
        .where(col(AccessToken.user_id) == user_id)
        .order_by(col(AccessToken.id).desc())
    )
    return [IssuedToken(**row._mapping) for row in rows]


def revoke_access_token(connection: Connection, user_id: UUID, token_id: UUID) -> None:
    """Revoke one of a person's access tokens at once, or `NotFound`."""
    revoked = connection.execute(
        delete(AccessToken).where(col(AccessToken.id) == token_id, col(AccessToken.user_id) == user_id)
    )
    if revoked.rowcount == 0:
        raise NotFound("There is no such access token.")
    record(connection, user_id, "access_token.revoked", str(token_id))


def change_password(
    connection: Connection, user_id: UUID, new: str, *, proven: str, keep: UUID, revoke_tokens: bool
) -> None:
    """Store another password hash; all logins but `keep` end, and, by choice, all access tokens.

    Raises `Conflict` when `proven` is not the person's password hash any more.
    """
    if not replace_password_hash(connection, user_id, new, proven=proven):
        raise Conflict("The password was changed at this moment from elsewhere. Log in again.")
    end_logins(connection, user_id, but=keep)
    if revoke_tokens:
        _revoke_access_tokens(connection, user_id)
    record(connection, user_id, "user.password_changed", str(user_id), tokens_revoked=revoke_tokens)


def reset_password(connection: Connection, user_id: UUID, new: str) -> None:
    """Store another password hash without the old one, as an operator; all logins and access tokens end."""
    connection.execute(update(User).where(col(User.id) == user_id).values(password_hash=new, updated_at=now()))
    end_logins(connection, user_id)
    _revoke_access_tokens(connection, user_id)
    record(connection, None, "user.password_reset", str(user_id))


def _revoke_access_tokens(connection: Connection, user_id: UUID) -> None:
    connection.execute(delete(AccessToken).where(col(AccessToken.user_id) == user_id))


def forget_expired_credentials(connection: Connection) -> None:
    """Delete logins and access tokens that have expired."""
    for table in (AuthSession, AccessToken):
        connection.execute(delete(table).where(col(table.expires_at) < now()))
