"""People's accounts: names, profiles, roles, password hashes."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from unicodedata import normalize
from uuid import UUID

import msgspec
from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    Connection,
    Row,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, col

from storage.database.columns import Table, UTCDateTime, new_id, now
from storage.errors import AlreadyTaken, Forbidden, LastAdmin, NotFound
from storage.people.audit_log import record
from storage.people.setup import consume_setup, lock_admins


class UserRole(StrEnum):
    """What a person is on this gateway; each role may do all that those before it may."""

    member = "member"
    moderator = "moderator"
    admin = "admin"


class User(Table, table=True):
    """A person's account. `username_key` and `email_key` are the folded forms that must be unique."""

    __tablename__ = "user"
    __table_args__ = (CheckConstraint("role IN ('member', 'moderator', 'admin')", name="role"),)

    id: UUID = Field(primary_key=True)
    username: str
    username_key: str = Field(unique=True)
    email: str | None
    email_key: str | None = Field(unique=True)
    password_hash: str
    role: str
    display_name: str
    audio_settings: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    permissions: list[str] = Field(sa_column=Column(JSON, nullable=False))
    disabled: bool = False
    created_at: datetime = Field(sa_type=UTCDateTime)
    updated_at: datetime = Field(sa_type=UTCDateTime)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A person's account as the gateway passes it on; `password_hash` never leaves it."""

    id: UUID
    username: str
    email: str | None
    role: UserRole
    display_name: str
    audio_settings: dict[str, Any]
    permissions: list[str]
    disabled: bool
    created_at: datetime


_COLUMNS = (
    col(User.id),
    col(User.username),
    col(User.email),
    col(User.role),
    col(User.display_name),
    col(User.audio_settings),
    col(User.permissions),
    col(User.disabled),
    col(User.created_at),
)
_BY_ID = select(*_COLUMNS).where(col(User.id) == bindparam("id"))
_BY_NAME = select(*_COLUMNS, col(User.password_hash)).where(
    or_(col(User.username_key) == bindparam("key"), col(User.email_key) == bindparam("key"))
)
_OTHER_ADMINS = (
    select(func.count())
    .select_from(User)
    .where(col(User.role) == UserRole.admin, col(User.disabled).is_(False), col(User.id) != bindparam("other"))
)


def fold(name: str) -> str:
    """The form in which names and addresses are compared: NFKC, case-folded, and without NUL, which no text holds."""
    return normalize("NFKC", name).casefold().replace("\0", "\ufffd")


def create_user(
    connection: Connection,
    *,
    username: str,
    email: str | None,
    password_hash: str,
    role: UserRole = UserRole.member,
    may_be_first_admin: bool = False,
    setup_code_hash: bytes | None = None,
) -> Account:
    """Make an account. The set-up flag makes the first one an admin, once, however many sign up together.

    It is consumed when `may_be_first_admin` (the caller is on this machine) or `setup_code_hash` is that of the
    one-time code, and when an admin is made by hand, so that no sign-up becomes one afterwards. Raises `AlreadyTaken`
    with `field` username or email, and `Forbidden` for a wrong code.
    """
    if setup_code_hash is not None:
        if not consume_setup(connection, code_hash=setup_code_hash):
            raise Forbidden("This set-up code is wrong, or was used already.")
        role = UserRole.admin
    elif (may_be_first_admin or role is UserRole.admin) and consume_setup(connection):
        role = UserRole.admin
    moment = now()
    user_id = new_id()
    try:
        connection.execute(
            insert(User).values(
                id=user_id,
                username=username,
                username_key=fold(username),
                email=email,
                email_key=fold(email) if email else None,
                password_hash=password_hash,
                role=role,
                display_name=username,
                audio_settings={},
                permissions=[],
                disabled=False,
                created_at=moment,
                updated_at=moment,
            )
        )
    except IntegrityError as error:
        field = "email" if "email_key" in str(error.orig) else "username"
        raise AlreadyTaken(field, f"This {field} is taken. Choose another, or log in.") from None
    if role is UserRole.admin:
        record(connection, None, "user.made_admin", str(user_id), username=username)
    return load_user(connection, user_id)


def load_user(connection: Connection, user_id: UUID) -> Account:
    """The account, or `NotFound`."""
    row = connection.execute(_BY_ID, {"id": user_id}).first()
    if row is None:
        raise NotFound("There is no such user.")
    return _account(row)


def find_login(connection: Connection, name: str) -> tuple[Account, str] | None:
    """The account of this username or email with its password hash, or None."""
    row = connection.execute(_BY_NAME, {"key": fold(name)}).first()
    return None if row is None else (_account(row), row.password_hash)


def list_users(
    connection: Connection,
    *,
    after: str | None = None,
    before: str | None = None,
    limit: int,
    with_disabled: bool = False,
) -> list[Account]:
    """People in the order of their folded names, after or before one of them (exclusive)."""
    name = col(User.username_key)
    query = select(*_COLUMNS).limit(limit)
    if not with_disabled:
        query = query.where(col(User.disabled).is_(False))
    if before is not None:
        rows = connection.execute(query.where(name < before).order_by(name.desc())).all()[::-1]
    else:
        rows = connection.execute(query.where(name > (after or "")).order_by(name)).all()
    return [_account(row) for row in rows]


def update_profile(
    connection: Connection,
    user_id: UUID,
    *,
    email: str | msgspec.UnsetType | None = msgspec.UNSET,
    display_name: str | msgspec.UnsetType = msgspec.UNSET,
    audio_settings: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET,
    permissions: list[str] | msgspec.UnsetType = msgspec.UNSET,
) -> Account:
    """Change what a person may change of their own account; what is unset stays."""
    changes: dict[str, Any] = {
        name: value
        for name, value in (
            ("email", email),
            ("display_name", display_name),
            ("audio_settings", audio_settings),
            ("permissions", permissions),
        )
        if value is not msgspec.UNSET
    }
    if "email" in changes:
        changes["email_key"] = fold(changes["email"]) if changes["email"] else None
    try:
        connection.execute(update(User).where(col(User.id) == user_id).values(**changes, updated_at=now()))
    except IntegrityError:
        raise AlreadyTaken("email", "This email is taken. Choose another.") from None
    return load_user(connection, user_id)


def find_password_hash(connection: Connection, user_id: UUID) -> str | None:
    """A person's password hash, to verify the current password."""
    return connection.execute(select(col(User.password_hash)).where(col(User.id) == user_id)).scalar()


def replace_password_hash(connection: Connection, user_id: UUID, new: str, *, proven: str) -> bool:
    """Store another password hash in place of the one that was proven; False when that is not theirs any more."""
    replaced = connection.execute(
        update(User)
        .where(col(User.id) == user_id, col(User.password_hash) == proven)
        .values(password_hash=new, updated_at=now())
    )
    return replaced.rowcount == 1


def change_standing(
    connection: Connection,
    actor_id: UUID | None,
    user_id: UUID,
    *,
    role: UserRole | msgspec.UnsetType = msgspec.UNSET,
    disabled: bool | msgspec.UnsetType = msgspec.UNSET,
) -> Account:
    """Give a person another role, or shut them out or let them in again; what is unset stays.

    Raises `LastAdmin` rather than leave nobody who can administer.
    """
    lock_admins(connection)
    before = load_user(connection, user_id)
    changes: dict[str, Any] = {}
    if role is not msgspec.UNSET and role is not before.role:
        changes["role"] = role
    if disabled is not msgspec.UNSET and disabled is not before.disabled:
        changes["disabled"] = disabled
    if not changes:
        return before
    if changes.get("disabled") or changes.get("role", UserRole.admin) is not UserRole.admin:
        require_other_admin(connection, user_id)
    if changes.get("role") is UserRole.admin:
        consume_setup(connection)
    connection.execute(update(User).where(col(User.id) == user_id).values(**changes, updated_at=now()))
    record(connection, actor_id, "user.standing_changed", str(user_id), username=before.username, **changes)
    return load_user(connection, user_id)


def require_other_admin(connection: Connection, user_id: UUID) -> None:
    """Raise `LastAdmin` when this person is the only one who can administer; holds until the transaction ends."""
    lock_admins(connection)
    account = load_user(connection, user_id)
    is_admin = account.role is UserRole.admin and not account.disabled
    if is_admin and not connection.execute(_OTHER_ADMINS, {"other": user_id}).scalar_one():
        raise LastAdmin("This is the last admin. Make somebody else an admin first.")


def _account(row: Row[Any]) -> Account:
    return Account(
        id=row.id,
        username=row.username,
        email=row.email,
        role=UserRole(row.role),
        display_name=row.display_name,
        audio_settings=row.audio_settings,
        permissions=row.permissions,
        disabled=row.disabled,
        created_at=row.created_at,
    )
