"""One's own profile, password and departure."""

from typing import Any

import pytest

from gateway.identity.cookie import NAME

pytestmark = pytest.mark.anyio

GOOD = "correct horse battery"
NEW = "another horse entirely"


@pytest.fixture(autouse=True)
def _clock_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.people.allowances.time", _StandingClock())


class _StandingClock:
    def time_ns(self) -> int:
        return 1_900_000_000_000_000_000


async def token_of(client: Any, scope: str = "profile:read") -> str:
    return str((await client.post("/api/auth/tokens", json={"name": "t", "scopes": [scope]})).json()["token"])


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/me"), ("PATCH", "/api/me"), ("DELETE", "/api/me"), ("POST", "/api/me/password")]
)
async def test_nobody_has_none(house: Any, method: str, path: str) -> None:
    assert (await house.client().request(method, path, json={})).status_code == 401


async def test_only_the_person_changes_their_profile(house: Any) -> None:
    admin, bob = await house.person("ann"), await house.person("bob")
    bobs_id = (await bob.get("/api/me")).json()["id"]
    for path in (f"/api/users/{bobs_id}", f"/api/me/{bobs_id}"):
        assert (await admin.patch(path, json={"display_name": "B"})).status_code in (404, 405)
    answer = await admin.patch(f"/api/admin/users/{bobs_id}", json={"display_name": "B"})
    assert answer.status_code == 400
    assert (await bob.get("/api/me")).json()["display_name"] == "bob"


async def test_what_is_given_changes_and_the_rest_stays(house: Any) -> None:
    ann = await house.person("ann")
    before = (await ann.get("/api/me")).json()
    changes = [
        {"display_name": " Ann A. "},
        {"email": "new@example.org"},
        {"audio_settings": {"gain": 0.5, "device": {"id": "x"}}},
        {"permissions": ["speak", "listen"]},
    ]
    for change in changes:
        answer = await ann.patch("/api/me", json=change)
        assert answer.status_code == 200
        before |= {name: value.strip() if isinstance(value, str) else value for name, value in change.items()}
        assert answer.json() == before
    assert (await ann.get("/api/me")).json() == before
    login = await house.client().post("/api/auth/login", json={"username": "new@example.org", "password": GOOD})
    assert login.status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        *({"email": "nowhere"}, {"email": None}, {"display_name": ""}, {"display_name": " "}),
        *({"display_name": "a\u0000"}, {"display_name": "a\nb"}, {"display_name": "x" * 81}),
        *({"audio_settings": []}, {"audio_settings": {"x": "y" * 4096}}, {"permissions": "speak"}),
        *({"permissions": [""]}, {"permissions": ["x" * 65]}, {"permissions": ["x"] * 33}, {"permissions": [1]}),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_cannot_be_meant_is_refused(house: Any, wrong: dict[str, Any]) -> None:
    ann = await house.person("ann")
    before = (await ann.get("/api/me")).json()
    answer = await ann.patch("/api/me", json=wrong)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"].startswith("/" + next(iter(wrong)))
    assert (await ann.get("/api/me")).json() == before


@pytest.mark.parametrize(
    "field", ["id", "username", "role", "disabled", "created_at", "password_hash", "username_key", "email_key"]
)
async def test_nobody_raises_themselves(house: Any, field: str) -> None:
    await house.person("ann")
    bob = await house.person("bob")
    before = (await bob.get("/api/me")).json()
    assert (await bob.patch("/api/me", json={field: "admin"})).status_code == 400
    assert (await bob.get("/api/me")).json() == before


async def test_described_permissions_grant_nothing(house: Any) -> None:
    await house.person("ann")
    bob = await house.person("bob")
    await bob.patch("/api/me", json={"permissions": ["users:manage", "admin"]})
    me = (await bob.get("/api/me")).json()
    assert (await bob.patch(f"/api/admin/users/{me['id']}", json={"role": "admin"})).status_code == 403


async def test_somebody_elses_email_is_refused(house: Any) -> None:
    ann = await house.person("ann")
    await house.person("bob")
    answer = await ann.patch("/api/me", json={"email": "BOB@example.org"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (409, "/email")


@pytest.mark.parametrize("revoke", [False, True])
async def test_a_new_password_ends_other_logins_and_by_choice_tokens(house: Any, revoke: bool) -> None:
    ann = await house.person("ann")
    program = house.client(await token_of(ann))
    login = await house.client().post("/api/auth/login", json={"username": "ann", "password": GOOD})
    phone = house.client(login.json()["token"])
    for client in (program, phone):
        assert (await client.get("/api/me")).status_code == 200
    change = {"current": GOOD, "new": NEW, **({"revoke_tokens": True} if revoke else {})}
    assert (await ann.post("/api/me/password", json=change)).status_code == 204
    assert (await ann.get("/api/me")).status_code == 200
    assert (await phone.get("/api/me")).status_code == 401
    assert (await program.get("/api/me")).status_code == (401 if revoke else 200)
    for password, status in ((GOOD, 401), (NEW, 200)):
        answer = await house.client().post("/api/auth/login", json={"username": "ann", "password": password})
        assert answer.status_code == status


async def test_a_new_password_must_be_a_good_one(house: Any) -> None:
    ann = await house.person("ann")
    for new in ("short", "password1"):
        answer = await ann.post("/api/me/password", json={"current": GOOD, "new": new})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/new")
    answer = await ann.post("/api/me/password", json={"current": NEW, "new": NEW})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/current")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", "/api/me/password", {"current": NEW, "new": NEW}), ("DELETE", "/api/me", {"password": NEW})],
)
async def test_a_stolen_login_does_not_guess_the_password(house: Any, method: str, path: str, body: Any) -> None:
    ann = await house.person("ann")
    statuses = [(await ann.request(method, path, json=body)).status_code for _ in range(6)]
    assert statuses == [400] * 5 + [429]


async def test_leaving_takes_the_password_and_everything(house: Any) -> None:
    await house.person("ann")
    told = await house.sign_up("bob")
    bob = house.client(told["token"])
    program = house.client(await token_of(bob))
    assert (await bob.request("DELETE", "/api/me", json={"password": NEW})).status_code == 400
    assert (await bob.request("DELETE", "/api/me", json={})).status_code == 400
    answer = await bob.request("DELETE", "/api/me", json={"password": GOOD})
    assert answer.status_code == 204
    assert f"{NAME}=" in answer.headers["set-cookie"]
    for client in (bob, program):
        assert (await client.get("/api/me")).status_code == 401
    login = await house.client().post("/api/auth/login", json={"username": "bob", "password": GOOD})
    assert login.status_code == 401
    await house.sign_up("bob")


async def test_the_last_admin_cannot_leave(house: Any) -> None:
    ann = await house.person("ann")
    answer = await ann.request("DELETE", "/api/me", json={"password": GOOD})
    assert (answer.status_code, answer.json()["code"]) == (409, "last-admin")
    assert (await ann.get("/api/me")).status_code == 200
