"""Who may do what: one table, read by every wire.

A permission is `resource:action`. Each names the least role that has it; an access token has those of its scopes
that its person has. What one may do within a chat is the affair of its members' roles, and part of the query.
"""

from enum import StrEnum

import msgspec

from storage.people.users import UserRole


class Permission(StrEnum):
    """Everything that can be permitted, alphabetically."""

    chats_read = "chats:read"
    chats_write = "chats:write"
    operations_read = "operations:read"
    personas_read = "personas:read"
    profile_read = "profile:read"
    profile_write = "profile:write"
    sessions_manage = "sessions:manage"
    threads_read = "threads:read"
    threads_write = "threads:write"
    tokens_manage = "tokens:manage"
    turns_read = "turns:read"
    turns_write = "turns:write"
    users_manage = "users:manage"
    users_read = "users:read"


class Rule(msgspec.Struct, frozen=True):
    """Who has a permission: people of this role and above; a program with a token only if it `may_delegate`."""

    role: UserRole
    may_delegate: bool
    sentence: str


POLICY: dict[Permission, Rule] = {
    Permission.chats_read: Rule(UserRole.member, True, "read the chats one takes part in"),
    Permission.chats_write: Rule(UserRole.member, True, "open chats, and change them as one's role in each allows"),
    Permission.operations_read: Rule(UserRole.admin, True, "read metrics, and others' manifests"),
    Permission.personas_read: Rule(UserRole.member, True, "list the personas one may chat with"),
    Permission.profile_read: Rule(UserRole.member, True, "read one's own profile"),
    Permission.profile_write: Rule(UserRole.member, True, "change one's own profile"),
    Permission.sessions_manage: Rule(UserRole.member, False, "list and end one's own logins, change the password"),
    Permission.threads_read: Rule(UserRole.member, True, "read the threads one sees"),
    Permission.threads_write: Rule(UserRole.member, True, "open threads, and take part as one's role in each allows"),
    Permission.tokens_manage: Rule(UserRole.member, False, "make and revoke one's own access tokens"),
    Permission.turns_read: Rule(UserRole.member, True, "read turns of the chats one takes part in"),
    Permission.turns_write: Rule(UserRole.member, True, "ask for turns, stop and retry them"),
    Permission.users_manage: Rule(UserRole.admin, False, "change people's roles"),
    Permission.users_read: Rule(UserRole.member, True, "list people by name"),
}

DELEGABLE = frozenset(permission for permission, rule in POLICY.items() if rule.may_delegate)
"""What an access token may be given."""

_RANK = {role: rank for rank, role in enumerate(UserRole)}


def permits(permission: Permission, role: UserRole, scopes: frozenset[str] | None) -> bool:
    """Whether a person of this role may; `scopes` are those of an access token, None for a login."""
    rule = POLICY[permission]
    if _RANK[role] < _RANK[rule.role]:
        return False
    return scopes is None or (rule.may_delegate and permission in scopes)
