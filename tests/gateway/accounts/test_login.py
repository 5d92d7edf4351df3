"""Logging in and out: what the answer gives away, the cookie, and how often one may try."""

import asyncio
from typing import Any
from uuid import UUID

import argon2
import pytest
from sqlalchemy import Connection, select, update

from gateway.identity.cookie import DEVICE, NAME
from storage.people import allowances
from storage.people.allowances import Allowance
from storage.people.users import User, change_standing, find_login

pytestmark = pytest.mark.anyio

GOOD = "correct horse battery"
WRONG = "wrong horse battery"


class StandingClock:
    """The time of the limits: no allowance comes back while a test runs, however slow the machine."""

    def time_ns(self) -> int:
        return 1_900_000_000_000_000_000


@pytest.fixture(autouse=True)
def _clock_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowances, "time", StandingClock())


async def log_in(client: Any, name: str, password: str = GOOD, **options: Any) -> Any:
    return await client.post("/api/auth/login", json={"username": name, "password": password}, **options)


async def test_a_name_or_an_email_logs_in(house: Any) -> None:
    await house.sign_up("Ann")
    for name in ("Ann", "ann", "ANN@example.org"):
        answer = await log_in(house.client(), name)
        assert answer.status_code == 200
        assert answer.json()["user"]["username"] == "Ann"
        assert "notice" not in answer.json()
        assert (await house.client(answer.json()["token"]).get("/api/me")).status_code == 200


async def test_the_cookie_is_kept_to_this_host_and_from_scripts(house: Any) -> None:
    await house.sign_up("ann")
    answer = await log_in(house.client(), "ann")
    login, device = answer.headers.get_list("set-cookie")
    value, *flags = login.split("; ")
    assert value == f"{NAME}={answer.json()['token']}"
    assert NAME.startswith("__Host-")
    assert {flag.lower() for flag in flags} == {"httponly", "secure", "samesite=lax", "path=/", "max-age=2592000"}
    value, *flags = device.split("; ")
    assert value.startswith(f"{DEVICE}=")
    assert DEVICE.startswith("__Host-")
    assert {flag.lower() for flag in flags} == {"httponly", "secure", "samesite=lax", "path=/", "max-age=34560000"}


async def test_each_login_has_a_token_of_its_own_whatever_cookie_came_along(house: Any) -> None:
    await house.sign_up("ann")
    planted = "gw_ses_" + "A" * 49
    browser = house.client()
    browser.cookies.set(NAME, planted)
    tokens = set()
    for _ in range(3):
        answer = await log_in(browser, "ann", headers={"sec-fetch-site": "same-origin"})
        tokens.add(answer.json()["token"])
    assert len(tokens) == 3
    assert planted not in tokens
    assert (await house.client(planted).get("/api/me")).status_code == 401


async def test_what_was_logged_out_is_of_no_use(house: Any) -> None:
    token = (await house.sign_up("ann"))["token"]
    other = (await log_in(house.client(), "ann")).json()["token"]
    answer = await house.client(token).post("/api/auth/logout")
    assert answer.status_code == 204
    assert "max-age=0" in answer.headers["set-cookie"].lower()
    assert (await house.client(token).get("/api/me")).status_code == 401
    browser = house.client()
    browser.cookies.set(NAME, token)
    assert (await browser.get("/api/me")).status_code == 401
    assert (await house.client(other).get("/api/me")).status_code == 200


async def test_nobody_can_log_out(house: Any) -> None:
    assert (await house.client().post("/api/auth/logout")).status_code == 401


async def test_the_answer_tells_nobody_who_exists(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.sign_up("ann")
    shut_out = (await house.sign_up("bob"))["user"]["id"]
    await house.database.write(change_standing, None, UUID(shut_out), disabled=True)
    verified = []
    real = argon2.PasswordHasher.verify
    monkeypatch.setattr(
        argon2.PasswordHasher,
        "verify",
        lambda self, stored, given: verified.append(stored) or real(self, stored, given),
    )
    answers = []
    for name, password in (
        ("ann", WRONG),
        ("nobody", WRONG),
        ("nobody@example.org", GOOD),
        ("ann\u0000", GOOD),
        ("bob", GOOD),
        ("bob", WRONG),
    ):
        answer = await log_in(house.client(), name, password)
        assert "set-cookie" not in answer.headers
        answers.append((answer.status_code, answer.text, sorted(answer.headers)))
        assert len(verified) == len(answers)
    assert len({stored.split("$")[3] for stored in verified}) == 1, "the same work for all"
    assert len({str(answer) for answer in answers}) == 1
    assert answers[0][0] == 401


async def test_limits_tell_nobody_who_exists_either(house: Any) -> None:
    await house.sign_up("ann")
    for name in ("ann", "nobody"):
        answers = [await log_in(house.client(), name, WRONG) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429]
        assert answers[-1].headers["retry-after"] == "60"
    assert (await log_in(house.client(), "ann")).status_code == 429


async def test_attempts_at_once_are_no_way_around_the_limit(house: Any) -> None:
    await house.sign_up("ann")
    answers = await asyncio.gather(*(log_in(house.client(), "ann", WRONG) for _ in range(16)))
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 11


def device_of(answer: Any) -> str:
    """What the browser is known by after an answer."""
    found = next(value for value in answer.headers.get_list("set-cookie") if value.startswith(DEVICE))
    return str(found.partition("=")[2].partition(";")[0])


async def lock_out(house: Any, name: str) -> None:
    """Fail at an account from everywhere, until nobody new gets in."""
    for n in range(5):
        for _ in range(5):
            await log_in(house.client(peer=f"198.51.{n}.1"), name, WRONG)
    assert (await log_in(house.client(), name)).status_code == 429


async def from_device(house: Any, name: str, device: str, password: str = GOOD) -> Any:
    return await log_in(house.client(), name, password, headers={"cookie": f"{DEVICE}={device}".encode("latin-1")})


async def test_a_device_that_was_here_before_is_not_locked_out(house: Any) -> None:
    await house.sign_up("ann")
    await house.sign_up("bob")
    device = device_of(await log_in(house.client(), "ann"))
    await lock_out(house, "ann")
    again = await from_device(house, "ANN@example.org", device)
    assert again.status_code == 200
    assert (await from_device(house, "ann", device_of(again))).status_code == 200
    name, _, mac = device.partition(".")
    bobs = device_of(await log_in(house.client(), "bob"))
    for forged in (f"{name}x.{mac}", f"{name}.{mac[:-1]}", f".{mac}", f"{name}.", ".", "\xe9", bobs):
        assert (await from_device(house, "ann", forged)).status_code == 429


async def test_a_known_device_guesses_no_faster(house: Any) -> None:
    await house.sign_up("ann")
    device = device_of(await log_in(house.client(), "ann"))
    statuses = [(await from_device(house, "ann", device, WRONG)).status_code for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    assert (await log_in(house.client(), "ann")).status_code == 200


async def test_another_password_makes_devices_unknown_but_the_one_that_changed_it(house: Any) -> None:
    token = (await house.sign_up("ann"))["token"]
    device = device_of(await log_in(house.client(), "ann"))
    new = {"current": GOOD, "new": "another horse battery"}
    changed = await house.client(token).post("/api/me/password", json=new)
    assert changed.status_code == 204
    await lock_out(house, "ann")
    assert (await from_device(house, "ann", device, new["new"])).status_code == 429
    assert (await from_device(house, "ann", device_of(changed), new["new"])).status_code == 200


async def test_a_right_password_forgets_the_failures_from_the_same_place(house: Any) -> None:
    await house.sign_up("ann")
    for _ in range(3):
        for _ in range(4):
            assert (await log_in(house.client(), "ann", WRONG)).status_code == 401
        assert (await log_in(house.client(), "ann")).status_code == 200


async def test_guesses_from_many_networks_are_counted_together(house: Any) -> None:
    await house.sign_up("ann")
    statuses = []
    for n in range(24):
        answer = await log_in(house.client(peer=f"198.51.{n}.1"), "ann", WRONG)
        statuses.append(answer.status_code)
    assert statuses == [401] * 20 + [429] * 4


async def test_right_passwords_do_not_count_against_the_account(house: Any) -> None:
    await house.sign_up("ann")
    for n in range(24):
        assert (await log_in(house.client(peer=f"198.51.{n}.1"), "ann")).status_code == 200


async def test_one_network_tries_so_many_accounts(house: Any) -> None:
    statuses = []
    for n in range(32):
        answer = await log_in(house.client(peer=f"2001:db8:0:{n:x}::1"), f"user{n}", WRONG)
        statuses.append(answer.status_code)
    assert statuses == [401] * 30 + [429] * 2
    assert (await log_in(house.client(peer="2001:db8:1::1"), "user1", WRONG)).status_code == 401


async def test_a_forwarding_header_is_no_new_address(house: Any) -> None:
    await house.sign_up("ann")
    statuses = []
    for n in range(6):
        headers = {"x-forwarded-for": f"198.51.{n}.1", "forwarded": f"for=198.51.{n}.1"}
        statuses.append((await log_in(house.client(), "ann", WRONG, headers=headers)).status_code)
    assert statuses == [401] * 5 + [429]


async def test_what_is_counted_holds_no_names(house: Any) -> None:
    await log_in(house.client(), "typed-my-password-here", WRONG)

    def keys(connection: Connection) -> str:
        return " ".join(connection.execute(select(Allowance.key)).scalars())

    assert "typed" not in await house.database.read(keys)


async def test_an_outdated_hash_is_replaced_at_login(house: Any) -> None:
    await house.sign_up("ann")
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=16, parallelism=1).hash(GOOD)

    def weaken(connection: Connection) -> None:
        connection.execute(update(User).values(password_hash=weak))

    await house.database.write(weaken)
    assert (await log_in(house.client(), "ann")).status_code == 200
    _, stored = await house.database.read(find_login, "ann")
    assert not house.accounts.passwords.is_outdated(stored)
    assert (await log_in(house.client(), "ann")).status_code == 200


async def test_on_plain_http_elsewhere_a_sentence_says_why_the_browser_forgets(house: Any) -> None:
    await house.sign_up("ann")
    for base, told in (("http://10.0.0.9:8000", True), ("http://127.0.0.1:8000", False), ("https://a.test", False)):
        answer = await log_in(house.client(base=base), "ann")
        assert ("notice" in answer.json()) is told
        assert answer.json()["token"]
