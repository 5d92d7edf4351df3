"""Who is calling now. No framework, so that every layer above may take one as an argument."""

from typing import ClassVar
from uuid import UUID

import msgspec

from gateway.policy import Permission, permits
from storage.people.users import UserRole


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A person who proved who they are, and by what: a login (`scopes` is None) or an access token."""

    is_anonymous: ClassVar[bool] = False

    user_id: UUID
    username: str
    display_name: str
    role: UserRole
    scopes: frozenset[str] | None
    credential_id: UUID
    via_cookie: bool

    def may(self, permission: Permission) -> bool:
        """Whether the policy table permits it to this person with this credential."""
        return permits(permission, self.role, self.scopes)


class Anonymous(msgspec.Struct, frozen=True):
    """Nobody: a request without a credential. An object, so that no one has to ask for None."""

    is_anonymous: ClassVar[bool] = True

    def may(self, permission: Permission) -> bool:
        """Nothing that needs a permission is for nobody."""
        return False


Caller = Principal | Anonymous

ANONYMOUS = Anonymous()
