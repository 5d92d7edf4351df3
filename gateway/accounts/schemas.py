"""The JSON of accounts: what comes in is strict, what goes out shows others no more than a name."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.policy import Permission
from storage.people.users import Account, UserRole

Password = Annotated[str, Meta(max_length=1024)]
Name = Annotated[str, Meta(min_length=1, max_length=254)]
Trait = Annotated[str, Meta(min_length=1, max_length=64)]


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """A body. It may hold a password, so its repr, which logs and tracebacks show, holds no values."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class SignupRequest(Request):
    """`setup_code` is the one-time code that the server printed; who has it becomes the first admin."""

    username: Name
    email: Name
    password: Password
    setup_code: Annotated[str, Meta(max_length=64)] | None = None


class LoginRequest(Request):
    """`username` may be the email."""

    username: Name
    password: Password


class PasswordChange(Request):
    """All other logins end; `revoke_tokens` ends the access tokens too."""

    current: Password
    new: Password
    revoke_tokens: bool = False


class AccountDeletion(Request):
    """Leaving takes the password."""

    password: Password


class ProfileChange(Request):
    """What is absent stays. `permissions` describe a person, as in a voice profile; they grant nothing."""

    email: Name | UnsetType = UNSET
    display_name: Annotated[str, Meta(min_length=1, max_length=80)] | UnsetType = UNSET
    audio_settings: dict[str, Any] | UnsetType = UNSET
    permissions: Annotated[list[Trait], Meta(max_length=32)] | UnsetType = UNSET


class TokenRequest(Request):
    """A token may do what its scopes say and its person may."""

    name: Annotated[str, Meta(min_length=1, max_length=80)]
    scopes: Annotated[list[Permission], Meta(min_length=1, max_length=len(Permission))]
    expires_in_days: Annotated[int, Meta(ge=1, le=365)] = 90


class StandingChange(Request):
    """What is absent stays; a `participant` is a member."""

    role: Literal["participant", "member", "moderator", "admin"] | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET

    @property
    def user_role(self) -> UserRole | UnsetType:
        """The role of that name."""
        if self.role is UNSET:
            return UNSET
        return UserRole.member if self.role == "participant" else UserRole(self.role)


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person as others see them."""

    id: UUID
    username: str
    display_name: str
    role: UserRole
    created_at: datetime


class Profile(User, frozen=True, kw_only=True):
    """A person as they see themselves."""

    email: str | None
    audio_settings: dict[str, Any]
    permissions: list[str]


class Standing(User, frozen=True, kw_only=True):
    """A person as an admin sees them."""

    disabled: bool


class LoginAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`token` is shown this once. `notice` says why a browser will not stay logged in here."""

    user: Profile
    token: str
    notice: str | None = None

    def __repr__(self) -> str:
        return "LoginAnswer(...)"


class LoginView(msgspec.Struct, frozen=True, kw_only=True):
    """One of a person's logins; `current` is the one that asks."""

    id: UUID
    user_agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    current: bool


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """An access token; `display` is how it begins."""

    id: UUID
    name: str
    display: str
    scopes: list[str]
    created_at: datetime
    last_seen_at: datetime | None
    expires_at: datetime


class ScopeView(msgspec.Struct, frozen=True):
    """A scope that an access token may have, and what one may do with it."""

    scope: str
    allows: str


class NewToken(TokenView, frozen=True, kw_only=True):
    """An access token with the token itself, which is shown this once."""

    token: str

    def __repr__(self) -> str:
        return f"NewToken({self.display!r})"


def user_view(account: Account) -> User:
    """What anybody who is logged in may know of a person."""
    return msgspec.convert(account, User, from_attributes=True)


def profile_view(account: Account) -> Profile:
    """What a person may know of themselves."""
    return msgspec.convert(account, Profile, from_attributes=True)
