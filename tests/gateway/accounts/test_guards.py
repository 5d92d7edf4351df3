"""Every route says what it takes, and the policy table decides."""

from typing import Any
from uuid import uuid4

import pytest

from gateway.identity.guards import PUBLIC, permission_of
from gateway.identity.principal import ANONYMOUS, Principal
from gateway.policy import POLICY, Permission
from storage.people.users import UserRole

ROLES = list(UserRole)

FOR_ANYBODY = {"/api/auth/signup", "/api/auth/login", "/api/setup"}


def principal(role: UserRole, scopes: frozenset[str] | None) -> Principal:
    return Principal(
        user_id=uuid4(),
        username="ann",
        display_name="Ann",
        role=role,
        scopes=scopes,
        credential_id=uuid4(),
        via_cookie=False,
    )


@pytest.mark.anyio
async def test_every_route_takes_a_permission_or_is_public(house: Any) -> None:
    for route in house.routes:
        for handler in getattr(route, "route_handlers", ()):
            if not route.path.startswith("/api/") or handler.http_methods == {"OPTIONS"}:
                continue
            public = handler.opt.items() >= PUBLIC.items()
            assert public == (route.path in FOR_ANYBODY), route.path
            assert (permission_of(handler) is None) == public, route.path


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize("role", ROLES)
def test_a_login_may_what_its_role_may(permission: Permission, role: UserRole) -> None:
    allowed = ROLES.index(role) >= ROLES.index(POLICY[permission].role)
    assert principal(role, None).may(permission) is allowed


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize("role", ROLES)
def test_a_token_may_what_its_scope_and_its_persons_role_may(permission: Permission, role: UserRole) -> None:
    rule = POLICY[permission]
    enough = ROLES.index(role) >= ROLES.index(rule.role)
    others = frozenset(Permission) - {permission}
    assert principal(role, frozenset({permission})).may(permission) is (enough and rule.may_delegate)
    assert principal(role, others).may(permission) is False
    assert principal(role, frozenset()).may(permission) is False


@pytest.mark.parametrize("permission", list(Permission))
def test_nobody_may_nothing(permission: Permission) -> None:
    assert not ANONYMOUS.may(permission)
