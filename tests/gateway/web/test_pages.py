"""How the page is served: nothing from elsewhere, kept for ever or asked for anew, and no more than its files."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from gateway.web import pages
from gateway.web.assets import load_assets

STATIC = Path(pages.__file__).parent / "static"
SCRIPTS = sorted(path.relative_to(STATIC / "js").as_posix() for path in (STATIC / "js").rglob("*.js"))
SHEETS = sorted(path.name for path in (STATIC / "css").iterdir())
FILES = [f"js/{name}" for name in SCRIPTS] + [f"css/{name}" for name in SHEETS] + ["favicon.svg"]


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    with TestClient(Litestar([pages.router], openapi_config=None)) as client:
        yield client


@pytest.fixture(scope="module")
def index(client: TestClient[Litestar]) -> str:
    return client.get("/").text


def test_page_may_load_and_reach_only_us(client: TestClient[Litestar]) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_page_is_asked_for_anew_and_not_sent_twice(client: TestClient[Litestar]) -> None:
    first = client.get("/")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""


def test_head_is_answered(client: TestClient[Litestar]) -> None:
    assert client.head("/").status_code == 200


@pytest.mark.parametrize("file", FILES)
def test_files_have_their_types_and_are_kept_for_ever(client: TestClient[Litestar], index: str, file: str) -> None:
    address = re.search(r"/assets/[0-9a-f]{16}/", index)
    assert address is not None
    answer = client.get(address[0] + file)
    assert answer.content == (STATIC / file).read_bytes()
    kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    assert answer.headers["content-type"].split(";")[0] == kinds[file.rsplit(".", 1)[1]]
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_file_of_another_version_is_not_kept(client: TestClient[Litestar]) -> None:
    answer = client.get("/assets/0000000000000000/js/main.js")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["x/nothing.js", "x/../pages.py", "x/%2e%2e/pages.py", "x//etc/passwd", "x/js"])
def test_there_are_no_other_files(client: TestClient[Litestar], path: str) -> None:
    assert client.get(f"/assets/{path}").status_code == 404


def test_every_module_and_sheet_is_named_in_the_page(index: str) -> None:
    named = re.findall(r'"/assets/[0-9a-f]{16}/(?:js|css)/([^"]+)"', index)
    assert sorted(named) == sorted([*SCRIPTS, *SHEETS])


def test_page_holds_nothing_that_its_own_policy_forbids(index: str) -> None:
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", index)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", index)


@pytest.mark.parametrize("name", SCRIPTS)
def test_html_enters_the_page_in_one_place(name: str) -> None:
    source = (STATIC / "js" / name).read_text()
    sinks = re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", source)
    assert sinks == (["innerHTML"] if name == "message.js" else [])


def test_a_changed_file_changes_every_address(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<script src="/assets/a.js"></script>')
    (tmp_path / "a.js").write_text("1")
    before = load_assets(tmp_path)
    (tmp_path / "a.js").write_text("2")
    after = load_assets(tmp_path)
    assert before.digest != after.digest
    assert f"/assets/{after.digest}/a.js".encode() in after.index.content


def test_a_file_of_an_unknown_kind_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("")
    (tmp_path / "a.exe").write_text("")
    with pytest.raises(KeyError, match="exe"):
        load_assets(tmp_path)
