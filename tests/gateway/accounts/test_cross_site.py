"""Which requests another site's page may make a browser send: none."""

from typing import Any

import httpx
import pytest

from gateway.identity.cookie import NAME

pytestmark = pytest.mark.anyio

OWN = "https://gateway.test"
FRIEND = "https://chat.example.org"

ALLOWED = [
    {"sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "same-origin", "origin": OWN},
    {"origin": OWN},
    {"sec-fetch-site": "cross-site", "origin": FRIEND},
    {"origin": FRIEND},
]
REFUSED = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": ""},
    {"sec-fetch-site": "cross-site", "origin": OWN},
    {"sec-fetch-site": "same-site", "origin": "https://neighbour.test"},
    {"origin": "https://evil.example"},
    {"origin": "http://gateway.test"},
    {"origin": "https://gateway.test:444"},
    {"origin": "https://gateway.test.evil.example"},
    {"origin": "null"},
    {"origin": ""},
]
NEITHER: dict[str, str] = {}


def shown(headers: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in headers.items()) or "neither"


@pytest.fixture
async def page(open_house: Any) -> Any:
    """A browser that is logged in on a gateway which trusts one frontend elsewhere."""
    house = await open_house(cors_origins=(FRIEND,))
    token = (await house.sign_up("ann"))["token"]
    browser = house.client()
    browser.cookies.set(NAME, token)
    return browser


def is_refused(answer: httpx.Response) -> bool:
    return answer.status_code == 403 and answer.json()["code"] == "cross-site"


@pytest.mark.parametrize("headers", ALLOWED, ids=shown)
async def test_our_own_page_and_a_trusted_one_may_change_things(page: httpx.AsyncClient, headers: Any) -> None:
    answer = await page.patch("/api/me", json={"display_name": "A"}, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("headers", [*REFUSED, NEITHER], ids=shown)
async def test_a_foreign_page_may_not(page: httpx.AsyncClient, headers: Any) -> None:
    assert is_refused(await page.patch("/api/me", json={"display_name": "A"}, headers=headers))
    assert (await page.get("/api/me")).json()["display_name"] == "ann"


UNSAFE = [
    ("POST", "/api/auth/login"),
    ("POST", "/api/auth/signup"),
    ("POST", "/api/auth/logout"),
    ("DELETE", "/api/auth/sessions"),
    ("DELETE", "/api/auth/sessions/01890000-0000-7000-8000-000000000000"),
    ("POST", "/api/auth/tokens"),
    ("DELETE", "/api/auth/tokens/01890000-0000-7000-8000-000000000000"),
    ("PATCH", "/api/me"),
    ("DELETE", "/api/me"),
    ("POST", "/api/me/password"),
    ("PATCH", "/api/admin/users/01890000-0000-7000-8000-000000000000"),
]


@pytest.mark.parametrize(("method", "path"), UNSAFE)
async def test_every_unsafe_route_refuses_a_foreign_page(page: httpx.AsyncClient, method: str, path: str) -> None:
    for headers in (*REFUSED, NEITHER):
        assert is_refused(await page.request(method, path, json={}, headers=headers))
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        headers = {"content-type": media_type, "sec-fetch-site": "cross-site"}
        assert is_refused(await page.request(method, path, content=b'{"password": "x"}', headers=headers))


async def test_the_list_of_unsafe_routes_is_complete(house: Any) -> None:
    there = {
        (method, route.path_format.replace("{session_id}", "_").replace("{token_id}", "_").replace("{user_id}", "_"))
        for route in house.routes
        for method in getattr(route, "methods", ())
        if method not in ("GET", "HEAD", "OPTIONS")
    }
    assert there == {(method, path.replace("01890000-0000-7000-8000-000000000000", "_")) for method, path in UNSAFE}


@pytest.mark.parametrize("path", ["/api/auth/login", "/api/auth/signup"])
async def test_nobody_is_logged_in_from_a_foreign_page_even_without_a_cookie(house: Any, path: str) -> None:
    for headers in REFUSED:
        assert is_refused(await house.client().post(path, json={}, headers=headers))
    for headers in (NEITHER, {"origin": OWN}, {"sec-fetch-site": "same-origin"}):
        assert (await house.client().post(path, json={}, headers=headers)).json()["code"] == "invalid-input"


async def test_reading_with_a_cookie_needs_no_proof_of_origin(page: httpx.AsyncClient) -> None:
    assert (await page.get("/api/me", headers={"sec-fetch-site": "cross-site"})).status_code == 200


async def test_a_bearer_is_nobodys_to_abuse(house: Any) -> None:
    ann = await house.person("ann")
    for headers in (*REFUSED, NEITHER):
        assert (await ann.patch("/api/me", json={}, headers=headers)).status_code == 200


async def open_socket(house: Any, headers: dict[str, str]) -> list[str]:
    """The types of the messages with which a WebSocket handshake is answered."""
    answers: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        answers.append(message["type"])

    scope = {
        "type": "websocket",
        "scheme": "wss",
        "path": "/socket",
        "raw_path": b"/socket",
        "query_string": b"",
        "root_path": "",
        "http_version": "1.1",
        "subprotocols": [],
        "client": ("127.0.0.1", 1),
        "server": ("gateway.test", 443),
        "extensions": {},
        "headers": [(name.encode(), value.encode()) for name, value in {"host": "gateway.test", **headers}.items()],
    }
    await house.app(scope, receive, send)
    return answers


async def test_a_foreign_page_opens_no_websocket_with_the_cookie(house: Any) -> None:
    cookie = {"cookie": f"{NAME}={(await house.sign_up('ann'))['token']}"}
    for headers in (*REFUSED, NEITHER):
        assert "websocket.accept" not in await open_socket(house, {**cookie, **headers})
    assert "websocket.accept" in await open_socket(house, {**cookie, "origin": OWN})


async def test_a_body_must_say_that_it_is_json(house: Any) -> None:
    ann = await house.person("ann")
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        answer = await ann.patch("/api/me", content=b'{"display_name": "A"}', headers={"content-type": media_type})
        assert answer.status_code == 415
    for media_type in ("application/json", "application/json; charset=utf-8", "Application/JSON"):
        answer = await ann.patch("/api/me", content=b'{"display_name": "A"}', headers={"content-type": media_type})
        assert answer.status_code == 200
