"""What people see of each other, and what admins change."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, select

from storage.people.audit_log import AuditEntry

pytestmark = pytest.mark.anyio

UNKNOWN = "01890000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/users"),
        ("GET", f"/api/users/{UNKNOWN}"),
        ("GET", "/api/admin/users"),
        ("PATCH", f"/api/admin/users/{UNKNOWN}"),
    ],
)
async def test_nobody_sees_or_changes_people(house: Any, method: str, path: str) -> None:
    assert (await house.client().request(method, path, json={})).status_code == 401


async def test_others_see_a_name_and_no_address(house: Any) -> None:
    ann, bob = await house.sign_up("ann"), await house.person("bob")
    await house.client(ann["token"]).patch("/api/me", json={"audio_settings": {"gain": 1}, "permissions": ["speak"]})
    answer = await bob.get(f"/api/users/{ann['user']['id']}")
    assert set(answer.json()) == {"id", "username", "display_name", "role", "created_at"}
    listed = await bob.get("/api/users")
    assert [set(one) for one in listed.json()["data"]] == [set(answer.json())] * 2
    assert "example.org" not in answer.text + listed.text


async def test_there_is_nobody_of_an_unknown_id(house: Any) -> None:
    ann = await house.person("ann")
    for path in (UNKNOWN, "not-an-id"):
        assert (await ann.get(f"/api/users/{path}")).status_code == 404
    assert (await ann.patch(f"/api/admin/users/{UNKNOWN}", json={"role": "admin"})).status_code == 404


async def test_people_are_paged_by_name_both_ways(house: Any) -> None:
    clients = [await house.person(name) for name in ("dan", "Ann", "cid", "Bob", "eve")]

    async def get(**query: Any) -> Any:
        return (await clients[0].get("/api/users", params=query)).json()

    first = await get(limit=2)
    second = await get(limit=2, after=first["next"])
    third = await get(limit=2, after=second["next"])
    names = [[one["username"] for one in page["data"]] for page in (first, second, third)]
    assert names == [["Ann", "Bob"], ["cid", "dan"], ["eve"]]
    assert (first["prev"], third["next"]) == (None, None)
    assert (await get(limit=2, before=third["prev"]))["data"] == second["data"]
    back = await get(limit=2, before=second["prev"])
    assert (back["data"], back["prev"]) == (first["data"], None)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=101", "after=x", "before=WzFd", "after=ImEi&before=ImEi"]
)
async def test_a_page_that_cannot_be_meant_is_refused(house: Any, query: str) -> None:
    ann = await house.person("ann")
    assert (await ann.get(f"/api/users?{query}")).status_code == 400


async def test_only_admins_give_roles(house: Any) -> None:
    admin = await house.sign_up("ann")
    bob = await house.sign_up("bob")
    answer = await house.client(bob["token"]).patch(f"/api/admin/users/{bob['user']['id']}", json={"role": "admin"})
    assert (answer.status_code, answer.json()["role"]) == (403, "admin")
    changed = await house.client(admin["token"]).patch(
        f"/api/admin/users/{bob['user']['id']}", json={"role": "moderator"}
    )
    assert changed.status_code == 200
    assert changed.json()["role"] == "moderator"
    refused = await house.client(bob["token"]).patch(f"/api/admin/users/{bob['user']['id']}", json={"role": "admin"})
    assert refused.status_code == 403


async def test_a_participant_is_a_member(house: Any) -> None:
    admin, bob = await house.person("ann"), await house.sign_up("bob")
    path = f"/api/admin/users/{bob['user']['id']}"
    await admin.patch(path, json={"role": "moderator"})
    assert (await admin.patch(path, json={"role": "participant"})).json()["role"] == "member"
    assert (await admin.patch(path, json={"role": "owner"})).status_code == 400


async def test_who_is_shut_out_is_out_at_once_and_may_come_back(house: Any) -> None:
    admin, bob = await house.person("ann"), await house.sign_up("bob")
    client, path = house.client(bob["token"]), f"/api/admin/users/{bob['user']['id']}"
    assert (await client.get("/api/me")).status_code == 200
    assert (await admin.patch(path, json={"disabled": True})).json()["disabled"] is True
    assert (await client.get("/api/me")).status_code == 401
    await admin.patch(path, json={"disabled": False})
    assert (await client.get("/api/me")).status_code == 200


async def test_admins_see_who_is_shut_out(house: Any) -> None:
    admin, bob, cid = [house.client((await house.sign_up(name))["token"]) for name in ("ann", "bob", "cid")]
    assert (await bob.get("/api/admin/users")).status_code == 403
    shut_out = (await cid.get("/api/me")).json()["id"]
    await admin.patch(f"/api/admin/users/{shut_out}", json={"disabled": True})
    first = (await admin.get("/api/admin/users?limit=2")).json()
    rest = (await admin.get("/api/admin/users", params={"after": first["next"]})).json()
    told = [(one["username"], one["disabled"]) for one in first["data"] + rest["data"]]
    assert told == [("ann", False), ("bob", False), ("cid", True)]
    assert "email" not in first["data"][0]
    assert [one["username"] for one in (await admin.get("/api/users")).json()["data"]] == ["ann", "bob"]


async def test_each_change_is_audited_with_who_made_it(house: Any) -> None:
    ann, bob = await house.sign_up("ann"), await house.sign_up("bob")
    path = f"/api/admin/users/{bob['user']['id']}"
    await house.client(ann["token"]).patch(path, json={"role": "moderator", "disabled": True})
    await house.client(bob["token"]).patch(path, json={"role": "admin"})

    def entries(connection: Connection) -> list[Any]:
        rows = connection.execute(select(AuditEntry.actor_id, AuditEntry.target, AuditEntry.detail, AuditEntry.action))
        return [row for row in rows if row.action == "user.standing_changed"]

    (entry,) = await house.database.read(entries)
    assert (entry.actor_id, entry.target) == (UUID(ann["user"]["id"]), bob["user"]["id"])
    assert entry.detail == {"username": "bob", "role": "moderator", "disabled": True}


async def test_sixteen_admins_who_step_down_at_once_leave_one(house: Any) -> None:
    first = await house.sign_up("user0")
    people = [first, *await asyncio.gather(*(house.sign_up(f"user{n}") for n in range(1, 16)))]
    paths = [f"/api/admin/users/{one['user']['id']}" for one in people]
    clients = [house.client(one["token"]) for one in people]
    for path in paths[1:]:
        assert (await clients[0].patch(path, json={"role": "admin"})).status_code == 200
    answers = await asyncio.gather(
        *(client.patch(path, json={"role": "member"}) for client, path in zip(clients, paths, strict=True))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 15 + [409]
    roles = [one["role"] for one in (await clients[0].get("/api/users")).json()["data"]]
    assert roles.count("admin") == 1
