"""From a request to a caller: which credential counts, for how long, and what it costs."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, select, update

from gateway.identity import authentication
from gateway.identity.cookie import NAME
from gateway.identity.tokens import TokenKind, hash_token, new_token
from storage.errors import StorageUnavailable
from storage.people.credentials import AccessToken, AuthSession, end_logins, find_credential, list_logins, mark_seen
from storage.people.users import change_standing

pytestmark = pytest.mark.anyio


class Reads:
    """Counts, and on wish fails or delays, how the database is asked."""

    def __init__(self, house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.credentials = 0
        self.marks = 0
        self.down = False
        self.delay: asyncio.Event | None = None
        real_read, real_write = house.database.read, house.database.write

        async def read(unit: Any, *args: Any, **kwargs: Any) -> Any:
            if self.down:
                raise StorageUnavailable("The database does not answer.")
            answer = await real_read(unit, *args, **kwargs)
            if unit is find_credential:
                self.credentials += 1
                if self.delay:
                    await self.delay.wait()
            return answer

        async def write(unit: Any, *args: Any, **kwargs: Any) -> Any:
            if self.down:
                raise StorageUnavailable("The database does not answer.")
            self.marks += unit is mark_seen
            return await real_write(unit, *args, **kwargs)

        monkeypatch.setattr(house.database, "read", read)
        monkeypatch.setattr(house.database, "write", write)


@pytest.fixture
def reads(house: Any, monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(house, monkeypatch)


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The monotonic time of the module under test, to be moved on."""

    class Moment:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

    moment = Moment()
    monkeypatch.setattr(authentication, "time", moment)
    return moment


async def test_nobody_gets_in_and_is_told_how(house: Any) -> None:
    answer = await house.client().get("/api/me")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "unauthenticated"


@pytest.mark.parametrize("kind", list(TokenKind))
async def test_a_token_that_was_never_issued_is_refused(house: Any, kind: TokenKind) -> None:
    answer = await house.client(new_token(kind)).get("/api/me")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_mistyped_token_is_refused_without_asking_the_database(house: Any, reads: Reads) -> None:
    token = (await house.sign_up("ann"))["token"]
    for mistyped in (token[:-1], token + "x", token[:-1] + ("a" if token[-1] != "a" else "b"), "x", "\u00fc" * 56):
        headers = {"authorization": b"Bearer " + mistyped.encode()}
        assert (await house.client().get("/api/me", headers=headers)).status_code == 401
    assert reads.credentials == 0


async def test_the_bearer_beats_the_cookie(house: Any) -> None:
    ann, bob = (await house.sign_up("ann"))["token"], (await house.sign_up("bob"))["token"]
    browser = house.client()
    browser.cookies.set(NAME, ann)
    assert (await browser.get("/api/me")).json()["username"] == "ann"
    both = await browser.get("/api/me", headers={"authorization": f"bearer  {bob}"})
    assert both.json()["username"] == "bob"
    bad = await browser.get("/api/me", headers={"authorization": f"Bearer {new_token(TokenKind.login)}"})
    assert bad.status_code == 401


async def test_an_access_token_is_no_cookie(house: Any) -> None:
    ann = await house.person("ann")
    token = (await ann.post("/api/auth/tokens", json={"name": "t", "scopes": ["profile:read"]})).json()["token"]
    assert (await house.client(token).get("/api/me")).status_code == 200
    browser = house.client()
    browser.cookies.set(NAME, token)
    assert (await browser.get("/api/me")).status_code == 401


async def test_a_stale_cookie_or_bearer_does_not_stand_in_the_way_of_what_is_public(house: Any) -> None:
    stale = new_token(TokenKind.login)
    browser = house.client(stale)
    browser.cookies.set(NAME, stale)
    assert (await browser.get("/anybody")).text == "hello"


async def test_a_database_that_is_down_is_not_the_callers_fault(house: Any, reads: Reads) -> None:
    token = (await house.sign_up("ann"))["token"]
    reads.down = True
    browser = house.client()
    browser.cookies.set(NAME, token)
    for client in (house.client(token), browser):
        answer = await client.get("/api/auth/sessions")
        assert answer.status_code == 503
        assert "www-authenticate" not in answer.headers


async def test_a_token_is_looked_up_once_a_second(house: Any, reads: Reads, moment: Any) -> None:
    ann = await house.person("ann")
    for _ in range(5):
        await ann.get("/api/me")
    assert reads.credentials == 1
    moment.now += 0.99
    await ann.get("/api/me")
    assert reads.credentials == 1
    moment.now += 0.02
    await ann.get("/api/me")
    assert reads.credentials == 2


async def test_what_another_process_revokes_stops_within_a_second(house: Any, moment: Any) -> None:
    answer = await house.sign_up("ann")
    ann = house.client(answer["token"])
    assert (await ann.get("/api/me")).status_code == 200
    await house.database.write(end_logins, UUID(answer["user"]["id"]))
    moment.now += 1.0
    assert (await ann.get("/api/me")).status_code == 401


async def test_a_revocation_overtakes_a_look_up_that_began_before_it(house: Any, reads: Reads, moment: Any) -> None:
    ann = await house.person("ann")
    other = (await ann.get("/api/auth/sessions")).json()["data"][0]["id"]
    phone = await house.client().post("/api/auth/login", json={"username": "ann", "password": "correct horse battery"})
    phone = house.client(phone.json()["token"])
    await phone.get("/api/me")
    moment.now += 2
    reads.delay = asyncio.Event()
    slow = asyncio.ensure_future(ann.get("/api/me"))
    while reads.credentials < 3:
        await asyncio.sleep(0.001)
    delay, reads.delay = reads.delay, None
    assert (await phone.delete(f"/api/auth/sessions/{other}")).status_code == 204
    delay.set()
    await slow
    assert (await ann.get("/api/me")).status_code == 401


async def test_one_persons_change_leaves_the_others_remembered(house: Any, reads: Reads, moment: Any) -> None:
    ann, bob = await house.person("ann"), await house.person("bob")
    for client in (ann, bob):
        await client.get("/api/me")
    await ann.patch("/api/me", json={"display_name": "A"})
    await bob.get("/api/me")
    assert reads.credentials == 2
    await ann.get("/api/me")
    assert reads.credentials == 3


async def test_what_is_remembered_is_bounded(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "MOST_REMEMBERED", 2)
    tokens = [(await house.sign_up(f"user{n}"))["token"] for n in range(3)]
    for token in tokens:
        assert (await house.client(token).get("/api/me")).status_code == 200
    remembered = house.accounts.authenticator._remembered
    assert {key[0] for key in remembered} == {hash_token(token) for token in tokens[1:]}


async def test_the_last_use_is_written_once_a_minute(house: Any, reads: Reads, moment: Any) -> None:
    answer = await house.sign_up("ann")
    ann, user_id = house.client(answer["token"]), UUID(answer["user"]["id"])

    def age(connection: Connection) -> None:
        connection.execute(update(AuthSession).values(last_seen_at=datetime.now(UTC) - timedelta(seconds=61)))

    await ann.get("/api/me")
    assert reads.marks == 0
    await house.database.write(age)
    for _ in range(3):
        moment.now += 2
        await ann.get("/api/me")
        await house.accounts.authenticator.close()
    assert reads.marks == 1
    (login,) = await house.database.read(list_logins, user_id)
    assert datetime.now(UTC) - login.last_seen_at < timedelta(seconds=30)


async def test_the_first_use_of_a_token_is_written_without_the_request_waiting(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await house.person("ann")
    token = (await ann.post("/api/auth/tokens", json={"name": "t", "scopes": ["profile:read"]})).json()["token"]
    gate = asyncio.Event()
    real = house.database.write

    async def slow(unit: Any, *args: Any, **kwargs: Any) -> Any:
        await gate.wait()
        return await real(unit, *args, **kwargs)

    monkeypatch.setattr(house.database, "write", slow)
    assert (await asyncio.wait_for(house.client(token).get("/api/me"), 5)).status_code == 200
    gate.set()
    await house.accounts.authenticator.close()

    def seen(connection: Connection) -> Any:
        return connection.execute(select(AccessToken.last_seen_at)).scalar()

    assert await house.database.read(seen) is not None


async def test_a_last_use_that_cannot_be_written_harms_nobody(house: Any, reads: Reads, moment: Any) -> None:
    ann = await house.person("ann")
    token = (await ann.post("/api/auth/tokens", json={"name": "t", "scopes": ["profile:read"]})).json()["token"]
    real = house.database.write

    async def failing(unit: Any, *args: Any, **kwargs: Any) -> Any:
        if unit is mark_seen:
            raise StorageUnavailable("The disk is full.")
        return await real(unit, *args, **kwargs)

    house.database.write = failing
    assert (await house.client(token).get("/api/me")).status_code == 200
    await house.accounts.authenticator.close()


async def test_a_change_of_role_counts_from_the_next_request(house: Any) -> None:
    admin = await house.person("ann")
    bob = await house.sign_up("bob")
    client = house.client(bob["token"])
    path = f"/api/admin/users/{bob['user']['id']}"
    assert (await client.patch(path, json={})).status_code == 403
    await admin.patch(path, json={"role": "admin"})
    assert (await client.patch(path, json={})).status_code == 200
    await house.database.write(change_standing, None, UUID(bob["user"]["id"]), disabled=True)
    house.accounts.authenticator.forget(UUID(bob["user"]["id"]))
    assert (await client.get("/api/me")).status_code == 401


async def test_a_remembered_caller_costs_less_than_a_tenth_of_a_millisecond(house: Any) -> None:
    token = (await house.sign_up("ann"))["token"]
    authenticator = house.accounts.authenticator
    await authenticator.identify(token)
    began = time.process_time()
    for _ in range(1000):
        await authenticator.identify(token)
    assert (time.process_time() - began) / 1000 < 0.0001


async def test_no_repr_shows_a_secret(house: Any) -> None:
    from gateway.accounts import schemas

    told = await house.sign_up("ann")
    opened = await house.accounts.log_in("ann", "correct horse battery", _somewhere(), None)
    shown = repr(
        [
            schemas.SignupRequest("ann", "a@b", "secret-password", "secret-code"),
            schemas.LoginRequest("ann", "secret-password"),
            schemas.PasswordChange("secret-password", "secret-password"),
            schemas.AccountDeletion("secret-password"),
            schemas.LoginAnswer(schemas.profile_view(opened.account), told["token"]),
            opened,
            await house.accounts.authenticator.identify(told["token"]),
            house.accounts.authenticator,
        ]
    )
    assert "secret" not in shown
    assert told["token"] not in shown
    assert opened.token not in shown
    assert opened.device not in shown


def _somewhere() -> Any:
    from gateway.accounts.accounts import Client

    return Client("127.0.0.1", "test", is_local=True)
