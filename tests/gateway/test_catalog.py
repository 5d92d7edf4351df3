"""A changed personas file takes effect in a running gateway; a bad one changes nothing."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import Gateway, serve_gateway

from gateway.settings import Settings
from providers.scripted.server import ScriptedUpstream

pytestmark = pytest.mark.anyio


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.catalog.LOOK_EVERY", 0.02)


@pytest.mark.usefixtures("_quick_looks")
async def test_an_edited_persona_speaks_at_once(settings: Settings, scripted_upstream: ScriptedUpstream) -> None:
    path = Path(settings.personas)
    async with serve_gateway(settings) as gateway:
        ada = await gateway.person("ada")
        chat = await ada.chat("plain")
        before = await ada.turn(chat)
        path.write_text(path.read_text().replace("You are plain.", "You are terse."))
        in_use = gateway.services.catalog
        await until(lambda: in_use.current.personas["plain"].digest != before["persona_digest"])
        after = await ada.turn(chat)
        assert after["state"] == "completed"
        assert after["persona_digest"] != before["persona_digest"]
        assert scripted_upstream.requests[-1].json["messages"][0]["content"] == "You are terse."


@pytest.mark.usefixtures("_quick_looks")
async def test_a_bad_file_keeps_the_whole_last_good_set_and_says_so(settings: Settings) -> None:
    path = Path(settings.personas)
    async with serve_gateway(settings) as gateway:
        ada = await gateway.person("ada")
        good = path.read_text()
        path.write_text(good.replace("name: Plain", "nmae: Plain").replace("You are Claude.", "You are new."))
        live = gateway.services.catalog.live
        await until(lambda: not live.latest.ok)
        assert "did you mean 'name'?" in str(live.latest.errors)
        ready = await ada.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["status"] == "degraded"
        assert (await ada.turn(await ada.chat("plain")))["state"] == "completed"
        assert "gateway_personas_reload_success 0.0" in (await ada.get("/metrics")).text
        path.write_text(good)
        await until(lambda: live.latest.ok)


async def rewrite(gateway: Gateway, persona: str, line: str | None) -> None:
    """Put another line in the place of a persona's, or none, and take that into use."""
    path = Path(gateway.services.settings.personas)
    kept = [line if one.startswith(f"  {persona}:") else one for one in path.read_text().splitlines()]
    path.write_text("\n".join(one for one in kept if one is not None))
    assert gateway.services.catalog.live.reload().ok
    await gateway.services.catalog.take_into_use()


async def test_a_removed_persona_leaves_its_chats_to_be_read(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    chat = await ada.chat("plain")
    await ada.turn(chat)
    await rewrite(gateway, "plain", None)
    assert (await ada.get(f"/api/chats/{chat}")).json()["read_only"] is True
    assert len(await ada.messages(chat)) == 2
    answer = await ada.post(f"/api/chats/{chat}/turns", {"content": "hi"})
    assert answer.status_code == 409
    assert answer.json()["code"] == "persona-unavailable"


async def test_what_was_sent_stays_explained_once_the_persona_is_removed(gateway: Gateway) -> None:
    root, mod = await gateway.person("root"), await gateway.person("mod", role="moderator")
    plain, staff = await mod.turn(await mod.chat("plain")), await mod.turn(await mod.chat("staff"))
    for persona in ("plain", "staff"):
        await rewrite(gateway, persona, None)
    told = (await mod.get(f"/api/turns/{plain['id']}/context")).json()
    assert told["messages"][0]["content"] == "You are plain."
    withheld = (await mod.get(f"/api/turns/{staff['id']}/context")).json()
    assert "messages" not in withheld
    assert "You serve" not in str(withheld)
    told = (await root.get(f"/api/turns/{staff['id']}/context")).json()
    assert told["messages"][0]["content"] == "You serve moderators."


async def test_what_a_persona_withholds_today_is_not_told_by_what_it_was(gateway: Gateway) -> None:
    ada = await gateway.person("ada")
    turn = await ada.turn(await ada.chat("plain"))
    await rewrite(gateway, "plain", '  plain: {name: Plain, system: "You are plain.", show_prompt: nobody}')
    withheld = (await ada.get(f"/api/turns/{turn['id']}/context")).json()
    assert "messages" not in withheld
    assert "You are plain" not in str(withheld)
