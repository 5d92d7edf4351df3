"""The documentation says what the program does: every setting, route, event and command has its place."""

import re
from pathlib import Path

import pytest
from builders import Gateway

from gateway.settings import Settings
from gateway.turns.log import TERMINAL
from storage.turns.rows import TurnState

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def text(name: str) -> str:
    return (ROOT / name).read_text()


def test_every_setting_is_documented_and_in_the_example() -> None:
    settings = {f"GATEWAY_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"^### (GATEWAY_\w+)$", text("docs/settings.md"), re.MULTILINE)) == settings
    assert set(re.findall(r"^# (GATEWAY_\w+)=", text(".env.example"), re.MULTILINE)) == settings


@pytest.mark.anyio
async def test_every_route_is_documented(gateway: Gateway) -> None:
    document = (await gateway.client().get("/openapi.json")).json()
    routes = {f"{method.upper()} {path}" for path, operations in document["paths"].items() for method in operations}
    assert set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", text("docs/api.md"), re.MULTILINE)) == routes


def test_every_event_and_state_is_documented() -> None:
    documented = set(re.findall(r"^\| `([\w.]+)` \|", text("docs/events.md"), re.MULTILINE))
    events = {"turn.started", "reply.delta", "turn.snapshot", *(name.decode() for name in TERMINAL.values())}
    assert documented == events | {state.value for state in TurnState}


def test_links_between_pages_lead_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *DOCS.rglob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_lock_holds_no_addresses() -> None:
    assert not re.search(r"https?://|file:/", text("constraints.txt"))
