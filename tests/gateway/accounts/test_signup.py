"""Signing up: who may, who becomes the first admin, and what a name and a password must be."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from gateway.accounts.first_admin import Bind, announce_setup_code
from gateway.identity.cookie import NAME

pytestmark = pytest.mark.anyio

GOOD = "correct horse battery"
OUTSIDE = Bind("0.0.0.0", loopback=False)


def body(name: str, **more: Any) -> dict[str, Any]:
    return {"username": name, "email": f"{name}@example.org", "password": GOOD, **more}


async def test_anybody_may_sign_up_on_loopback(house: Any) -> None:
    answer = await house.client().post("/api/auth/signup", json=body("Ann"))
    assert answer.status_code == 201
    user = answer.json()["user"]
    assert (user["username"], user["display_name"], user["email"]) == ("Ann", "Ann", "Ann@example.org")
    assert set(user) == {
        *("id", "username", "display_name", "role", "created_at"),
        *("email", "audio_settings", "permissions"),
    }
    me = await house.client(answer.json()["token"]).get("/api/me")
    assert me.json() == user


async def test_signing_up_logs_the_browser_in(house: Any) -> None:
    browser = house.client()
    await browser.post("/api/auth/signup", json=body("ann"))
    assert NAME in browser.cookies
    assert (await browser.get("/api/me")).json()["username"] == "ann"


async def test_one_of_sixteen_first_comers_is_the_admin(house: Any) -> None:
    people = await asyncio.gather(*(house.sign_up(f"user{n}") for n in range(16)))
    assert Counter(one["user"]["role"] for one in people) == {"admin": 1, "member": 15}


@pytest.mark.parametrize("header", ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-real-ip", "via"])
async def test_who_comes_through_a_proxy_is_not_the_first_admin(house: Any, header: str) -> None:
    answer = await house.client().post("/api/auth/signup", json=body("ann"), headers={header: "127.0.0.1"})
    assert answer.json()["user"]["role"] == "member"
    assert (await house.sign_up("bob"))["user"]["role"] == "admin"


async def test_who_comes_from_elsewhere_is_not_the_first_admin(open_house: Any) -> None:
    for bind in (OUTSIDE, Bind("127.0.0.1", loopback=True)):
        house = await open_house(bind, signup="open")
        peer = "127.0.0.1" if bind is OUTSIDE else "203.0.113.7"
        name = f"ann{peer}"
        answer = await house.client(peer=peer).post("/api/auth/signup", json=body(name))
        assert answer.json()["user"]["role"] == "member"


async def test_sign_up_is_closed_off_loopback_unless_opened(open_house: Any) -> None:
    closed = await open_house(OUTSIDE)
    answer = await closed.client().post("/api/auth/signup", json=body("ann"))
    assert (answer.status_code, answer.json()["code"]) == (403, "signup-closed")
    opened = await open_house(OUTSIDE, signup="open")
    assert (await opened.client().post("/api/auth/signup", json=body("ann"))).status_code == 201


async def test_sign_up_can_be_closed_on_loopback(open_house: Any) -> None:
    house = await open_house(signup="closed")
    assert (await house.client().post("/api/auth/signup", json=body("ann"))).status_code == 403


async def test_the_setup_code_makes_one_admin_even_where_sign_up_is_closed(open_house: Any) -> None:
    house = await open_house(OUTSIDE)
    code = await announce_setup_code(house.database, OUTSIDE)
    assert code is not None
    client = house.client(peer="203.0.113.7")
    wrong = await client.post("/api/auth/signup", json=body("ann", setup_code="AAAA-BBBB-CCCC-DDDD"))
    assert wrong.status_code == 403
    right = await client.post("/api/auth/signup", json=body("ann", setup_code=code.lower()))
    assert right.json()["user"]["role"] == "admin"
    again = await client.post("/api/auth/signup", json=body("bob", setup_code=code))
    assert again.status_code == 403
    assert await announce_setup_code(house.database, OUTSIDE) is None


async def test_only_the_newest_code_counts_and_loopback_needs_none(open_house: Any) -> None:
    house = await open_house(OUTSIDE)
    old = await announce_setup_code(house.database, OUTSIDE)
    new = await announce_setup_code(house.database, OUTSIDE)
    assert await announce_setup_code(house.database, Bind("::1", loopback=True)) is None
    assert (await house.client().post("/api/auth/signup", json=body("ann", setup_code=old))).status_code == 403
    assert (await house.client().post("/api/auth/signup", json=body("ann", setup_code=new))).status_code == 201


@pytest.mark.parametrize("name", ["an", "a" * 41, "ann marie", "ann@home", "ann\n", "ann\u0000", "ann/..", " ann", ""])
async def test_a_bad_username_is_refused(house: Any, name: str) -> None:
    answer = await house.client().post("/api/auth/signup", json={**body("ann"), "username": name})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/username"


@pytest.mark.parametrize("email", ["ann", "@example.org", "ann@", "a@b@c", "a b@c.d", "a\u0000@b", "a@b\n", "a" * 300])
async def test_a_bad_email_is_refused(house: Any, email: str) -> None:
    answer = await house.client().post("/api/auth/signup", json={**body("ann"), "email": email})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/email"


async def test_a_guessable_password_is_refused(house: Any) -> None:
    for password in ("short", "password1", "annmarie"):
        answer = await house.client().post("/api/auth/signup", json=body("annmarie", password=password))
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/password")


async def test_fields_that_are_not_asked_for_are_refused(house: Any) -> None:
    for extra in ({"role": "admin"}, {"id": "x"}, {"disabled": False}, {"permissions": []}):
        answer = await house.client().post("/api/auth/signup", json=body("ann", **extra))
        assert answer.status_code == 400


async def test_a_taken_name_and_email_are_told(house: Any) -> None:
    await house.sign_up("ann")
    for field, taken in (
        ("username", body("ANN", email="b@example.org")),
        ("email", body("bob", email="ANN@example.org")),
    ):
        answer = await house.client().post("/api/auth/signup", json=taken)
        assert answer.status_code == 409
        assert answer.json()["errors"][0]["pointer"] == f"/{field}"


async def test_sign_ups_of_a_network_are_few_off_loopback(open_house: Any) -> None:
    house = await open_house(OUTSIDE, signup="open")
    statuses = []
    for n in range(6):
        answer = await house.client(peer=f"203.0.113.{n}").post("/api/auth/signup", json=body(f"user{n}"))
        statuses.append(answer.status_code)
    assert statuses == [201] * 5 + [429]
    assert 590 < int(answer.headers["retry-after"]) <= 600
    other = await house.client(peer="203.0.114.1").post("/api/auth/signup", json=body("other"))
    assert other.status_code == 201


async def test_a_page_may_ask_how_one_gets_in(open_house: Any) -> None:
    house = await open_house(OUTSIDE)
    answer = await house.client().get("/api/setup")
    assert answer.json() == {"signup": "closed", "first_account": True, "needs_setup_code": True}
