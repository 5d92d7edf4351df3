"""A person's own list of logins."""

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

GOOD = "correct horse battery"
UNKNOWN = "01890000-0000-7000-8000-000000000000"


async def another_login(house: Any, name: str) -> Any:
    answer = await house.client().post(
        "/api/auth/login",
        json={"username": name, "password": GOOD},
        headers={"user-agent": b"Phone\t\xe9" + b"x" * 300},
    )
    return house.client(answer.json()["token"])


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/auth/sessions"), ("DELETE", "/api/auth/sessions"), ("DELETE", f"/api/auth/sessions/{UNKNOWN}")],
)
async def test_nobody_has_none(house: Any, method: str, path: str) -> None:
    assert (await house.client().request(method, path)).status_code == 401


async def test_nobody_ends_somebody_elses(house: Any) -> None:
    ann, bob = await house.person("ann"), await house.person("bob")
    (hers,) = (await ann.get("/api/auth/sessions")).json()["data"]
    for session_id in (hers["id"], UNKNOWN):
        assert (await bob.delete(f"/api/auth/sessions/{session_id}")).status_code == 404
    assert (await bob.delete("/api/auth/sessions")).status_code == 204
    assert (await ann.get("/api/me")).status_code == 200


async def test_the_list_shows_where_one_is_logged_in_and_no_token(house: Any) -> None:
    ann = await house.person("ann")
    await another_login(house, "ann")
    newest, oldest = (await ann.get("/api/auth/sessions")).json()["data"]
    assert (newest["current"], oldest["current"]) == (False, True)
    assert newest["user_agent"].startswith("Phone")
    assert len(newest["user_agent"]) == 200
    assert set(newest) == {"id", "user_agent", "created_at", "last_seen_at", "expires_at", "current"}


async def test_one_login_ends_at_once(house: Any) -> None:
    ann = await house.person("ann")
    phone = await another_login(house, "ann")
    assert (await phone.get("/api/me")).status_code == 200
    newest, _ = (await ann.get("/api/auth/sessions")).json()["data"]
    assert (await ann.delete(f"/api/auth/sessions/{newest['id']}")).status_code == 204
    assert (await phone.get("/api/me")).status_code == 401
    assert (await ann.delete(f"/api/auth/sessions/{newest['id']}")).status_code == 404


async def test_all_others_end_at_once(house: Any) -> None:
    ann = await house.person("ann")
    others = [await another_login(house, "ann") for _ in range(3)]
    for other in others:
        assert (await other.get("/api/me")).status_code == 200
    assert (await ann.delete("/api/auth/sessions")).status_code == 204
    assert [(await other.get("/api/me")).status_code for other in others] == [401] * 3
    assert (await ann.get("/api/me")).status_code == 200
