"""Access tokens: shown once, for some scopes, for some days, and never for managing tokens."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, update

from gateway.policy import DELEGABLE, Permission
from storage.people.credentials import AccessToken

pytestmark = pytest.mark.anyio

UNKNOWN = "01890000-0000-7000-8000-000000000000"
READ = {"name": "script", "scopes": ["profile:read"]}


async def make(client: Any, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/api/auth/tokens", json={**READ, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/auth/scopes"),
        ("GET", "/api/auth/tokens"),
        ("POST", "/api/auth/tokens"),
        ("DELETE", f"/api/auth/tokens/{UNKNOWN}"),
    ],
)
async def test_nobody_has_none(house: Any, method: str, path: str) -> None:
    assert (await house.client().request(method, path, json=READ)).status_code == 401


async def test_nobody_sees_or_revokes_somebody_elses(house: Any) -> None:
    ann, bob = await house.person("ann"), await house.person("bob")
    token = await make(ann)
    assert (await bob.get("/api/auth/tokens")).json()["data"] == []
    for token_id in (token["id"], UNKNOWN):
        assert (await bob.delete(f"/api/auth/tokens/{token_id}")).status_code == 404
    assert (await house.client(token["token"]).get("/api/me")).status_code == 200


async def test_the_token_is_shown_once(house: Any) -> None:
    ann = await house.person("ann")
    made = await make(ann)
    assert made["token"].startswith(made["display"])
    listed = await ann.get("/api/auth/tokens")
    (shown,) = listed.json()["data"]
    assert shown == {name: value for name, value in made.items() if name != "token"}
    assert made["token"][11:] not in listed.text


async def test_one_is_told_the_scopes_that_one_may_give(house: Any) -> None:
    admin, bob = await house.person("ann"), await house.person("bob")
    told = {one["scope"]: one["allows"] for one in (await admin.get("/api/auth/scopes")).json()["data"]}
    assert set(told) == {str(scope) for scope in DELEGABLE}
    assert told["profile:read"] == "read one's own profile"
    assert set(told) - {one["scope"] for one in (await bob.get("/api/auth/scopes")).json()["data"]} == {
        "operations:read"
    }
    await make(admin, scopes=list(told))


async def test_a_token_does_what_its_scopes_say(house: Any) -> None:
    ann = await house.person("ann")
    reader = house.client((await make(ann))["token"])
    assert (await reader.get("/api/me")).status_code == 200
    refused = await reader.patch("/api/me", json={"display_name": "A"})
    assert (refused.status_code, refused.json()["scope"]) == (403, "profile:write")
    assert "profile:write" in refused.json()["detail"]


async def test_a_token_never_does_more_than_its_person_may(house: Any) -> None:
    await house.person("admin")
    bob = await house.person("bob")
    everything = house.client((await make(bob, scopes=sorted(DELEGABLE)))["token"])
    assert (await everything.get("/api/users")).status_code == 200
    answer = await everything.patch(f"/api/admin/users/{UNKNOWN}", json={"role": "admin"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/auth/tokens"),
        ("POST", "/api/auth/tokens"),
        ("DELETE", f"/api/auth/tokens/{UNKNOWN}"),
        ("GET", "/api/auth/sessions"),
        ("DELETE", "/api/auth/sessions"),
        ("DELETE", f"/api/auth/sessions/{UNKNOWN}"),
        ("POST", "/api/auth/logout"),
        ("POST", "/api/me/password"),
        ("DELETE", "/api/me"),
        ("PATCH", f"/api/admin/users/{UNKNOWN}"),
    ],
)
async def test_no_token_manages_tokens_logins_or_people(house: Any, method: str, path: str) -> None:
    admin = await house.person("ann")
    program = house.client((await make(admin, scopes=sorted(DELEGABLE)))["token"])
    answer = await program.request(method, path, json=READ)
    assert answer.status_code == 403
    assert "access token" in answer.json()["detail"]


@pytest.mark.parametrize("scope", sorted(set(Permission) - DELEGABLE))
async def test_a_scope_that_is_not_for_programs_is_not_given(house: Any, scope: str) -> None:
    ann = await house.person("ann")
    answer = await ann.post("/api/auth/tokens", json={"name": "t", "scopes": ["profile:read", scope]})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/scopes/1")


@pytest.mark.parametrize(
    "wrong",
    [{"scopes": []}, {"scopes": ["all"]}, {"name": ""}, {"name": " "}, {"name": "a\u0000"}, {"name": "x" * 81}]
    + [{"expires_in_days": days} for days in (0, -1, 366, 1.5, None)],
    ids=str,
)
async def test_what_cannot_be_meant_is_refused(house: Any, wrong: dict[str, Any]) -> None:
    ann = await house.person("ann")
    assert (await ann.post("/api/auth/tokens", json={**READ, **wrong})).status_code == 400


@pytest.mark.parametrize("days", [None, 1, 365])
async def test_a_token_lives_ninety_days_unless_said_otherwise(house: Any, days: int | None) -> None:
    ann = await house.person("ann")
    made = await make(ann, **({} if days is None else {"expires_in_days": days}))
    lifetime = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert lifetime == timedelta(days=days or 90)


async def test_an_expired_token_is_refused(house: Any) -> None:
    ann = await house.person("ann")
    token = (await make(ann))["token"]

    def expire(connection: Connection) -> None:
        connection.execute(update(AccessToken).values(expires_at=datetime.now(UTC)))

    await house.database.write(expire)
    assert (await house.client(token).get("/api/me")).status_code == 401


async def test_a_revoked_token_stops_at_once(house: Any) -> None:
    ann = await house.person("ann")
    made = await make(ann)
    program = house.client(made["token"])
    assert (await program.get("/api/me")).status_code == 200
    assert (await ann.delete(f"/api/auth/tokens/{made['id']}")).status_code == 204
    assert (await program.get("/api/me")).status_code == 401
