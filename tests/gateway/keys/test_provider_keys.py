"""Keys that the command line stores reach a running gateway, in turns, and only the upstream they are for."""

import asyncio
import logging
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import pytest
from builders import Gateway, Person, serve_gateway
from click.testing import CliRunner
from sqlalchemy import Connection, update
from sqlmodel import col

from gateway.cli.keys import keys
from gateway.keys import provider_keys
from gateway.keys.master_key import MasterKeyRefused
from gateway.settings import Settings
from providers.scripted.server import ScriptedUpstream
from storage.database import open_database
from storage.errors import StorageUnavailable
from storage.keys.provider_keys import ProviderKey
from storage.keys.vault import master_id

pytestmark = pytest.mark.anyio

ONE, TWO = (bytes([number]) * 32 for number in (1, 2))

Command = Callable[..., Awaitable[str]]


def as_text(*master_keys: bytes) -> str:
    return ",".join(b64encode(key).decode() for key in master_keys)


@pytest.fixture
def database_address(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> str:
    """SQLite where a test does not ask for both."""
    return new_database(getattr(request, "param", "sqlite"))


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `gateway keys ...` beside the gateway, on the same files; gives the first word that it tells."""
    monkeypatch.setenv("GATEWAY_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("GATEWAY_PERSONAS", str(settings.personas))
    monkeypatch.chdir(settings.data_dir)

    async def run(*words: str, said: str = "") -> str:
        result = await asyncio.to_thread(CliRunner().invoke, keys, words, input=said)
        assert result.exit_code == 0, result.output
        return result.output.split()[0]

    return run


@pytest.fixture
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_keys, "LOOK_EVERY", 0.02)


async def within(seconds: float, condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds; at most so long."""
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, f"it did not come about within {seconds} s"
        await asyncio.sleep(0.02)


async def has_key(person: Person, persona: str = "claude") -> bool:
    """Whether a turn with the persona begins."""
    answer = await person.post(f"/api/chats/{await person.chat(persona)}/turns", {"content": "Hello"})
    assert answer.status_code in (200, 503), answer.text
    return answer.status_code == 200


def again(gateway: Gateway, person: Person) -> Person:
    """The same person, after a new start."""
    user = {"id": person.id, "username": person.username, "role": person.role}
    return Person(gateway.client(), {"user": user, "token": person.token})


async def used(person: Person, upstream: ScriptedUpstream, turns: int) -> list[str]:
    """The keys that so many turns are asked with."""
    upstream.requests.clear()
    for _ in range(turns):
        assert (await person.turn(await person.chat("claude")))["state"] == "completed"
    return [request.key for request in upstream.requests]


async def change_row(settings: Settings, key_id: str, **values: str) -> None:
    """Change a stored key as somebody with the database in hand could."""

    def change(connection: Connection) -> None:
        connection.execute(update(ProviderKey).where(col(ProviderKey.id) == UUID(key_id)).values(**values))

    database = await open_database(settings.database_address)
    await database.write(change)
    await database.close()


@pytest.mark.parametrize("database_address", ["sqlite", "postgresql"], indirect=True)
async def test_keys_are_used_in_turn_within_two_seconds_and_no_more_when_removed(
    gateway: Gateway, command: Command, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await gateway.person("ada")
    assert not await has_key(ada)
    first = await command("add", "claude", said="key-number-1")
    await within(2, lambda: has_key(ada))
    monkeypatch.setattr(provider_keys, "LOOK_EVERY", 0.02)  # the first wait was for what is shipped
    assert await used(ada, scripted_upstream, 2) == ["key-number-1"] * 2
    await command("add", "claude", said="key-number-2")

    async def second_is_used() -> bool:
        return "key-number-2" in await used(ada, scripted_upstream, 2)

    await within(2, second_is_used)
    turns = await used(ada, scripted_upstream, 6)
    assert turns in (["key-number-1", "key-number-2"] * 3, ["key-number-2", "key-number-1"] * 3)
    await command("replace", first, said="key-number-3")

    async def third_is_used() -> bool:
        return "key-number-3" in await used(ada, scripted_upstream, 2)

    await within(2, third_is_used)
    assert set(await used(ada, scripted_upstream, 4)) == {"key-number-2", "key-number-3"}
    await command("remove", first)

    async def first_is_not_used() -> bool:
        return set(await used(ada, scripted_upstream, 4)) == {"key-number-2"}

    await within(2, first_is_not_used)


async def test_a_key_in_the_environment_and_a_stored_one_take_turns(
    settings: Settings, command: Command, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_CLAUDE_KEY", " key-of-the-environment\n")
    await command("add", "claude", said="key-that-is-stored")
    async with serve_gateway(settings) as gateway:
        turns = await used(await gateway.person("ada"), scripted_upstream, 4)
    assert sorted(turns) == ["key-of-the-environment"] * 2 + ["key-that-is-stored"] * 2


async def test_what_is_no_key_in_the_environment_is_told_without_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TEST_CLAUDE_KEY", "two words")
    async with serve_gateway(settings) as gateway:
        assert not await has_key(await gateway.person("ada"))
    (told,) = [record for record in caplog.records if record.name == "gateway.keys"]
    assert told.__dict__["variable"] == "TEST_CLAUDE_KEY"
    assert "two words" not in str(told.__dict__)


@pytest.mark.usefixtures("_quick_looks")
async def test_a_key_is_not_sent_to_another_address(
    settings: Settings, command: Command, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.catalog.LOOK_EVERY", 0.02)
    await command("add", "claude", said="key-of-the-old-address")
    personas = Path(settings.personas)
    with ScriptedUpstream() as elsewhere:
        async with serve_gateway(settings) as gateway:
            ada = await gateway.person("ada")
            assert await has_key(ada)
            personas.write_text(personas.read_text().replace(scripted_upstream.url, elsewhere.url))

            async def is_moved() -> bool:
                return not await has_key(ada)

            await within(5, is_moved)
            chat = await ada.chat("claude")
            refused = await ada.post(f"/api/chats/{chat}/turns", {"content": "Hello"})
            assert "belongs to another address" in refused.json()["detail"]
        async with serve_gateway(settings) as gateway:  # nor after a new start
            bob = again(gateway, ada)
            assert not await has_key(bob)
            assert not elsewhere.requests
            await command("add", "claude", said="key-of-the-old-address")  # the same key, for the new address
            await within(2, lambda: has_key(bob))
        assert [request.key for request in elsewhere.requests] == ["key-of-the-old-address"]


async def test_a_row_pointed_at_another_upstream_does_not_open(
    settings: Settings, command: Command, scripted_upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    moved = await command("add", "claude", said="key-that-was-moved")
    await command("add", "claude", said="key-that-is-good")
    personas = Path(settings.personas)
    with ScriptedUpstream() as thief:
        await change_row(settings, moved, origin=thief.url)
        async with serve_gateway(settings) as gateway:
            ada = await gateway.person("ada")
            assert await used(ada, scripted_upstream, 2) == ["key-that-is-good"] * 2
        personas.write_text(personas.read_text().replace(scripted_upstream.url, thief.url))
        async with serve_gateway(settings) as gateway:
            ada = again(gateway, ada)
            assert not await has_key(ada)
        assert not thief.requests
    told = [record.__dict__ for record in caplog.records if record.name == "gateway.keys"]
    assert [(one["levelname"], one["key"], one["provider"]) for one in told] == [("ERROR", moved, "claude")] * 2
    assert not any("key-that" in str(one) for one in told)


async def test_no_start_without_the_master_key_of_stored_keys(settings: Settings, command: Command) -> None:
    await command("add", "claude", said="key-number-1")
    master = settings.data_dir / "master.key"
    master.rename(settings.data_dir / "elsewhere")
    with pytest.raises(MasterKeyRefused, match=r"is missing: neither GATEWAY_MASTER_KEY nor .*Bring it back"):
        async with serve_gateway(settings):
            pass
    assert not master.exists()


async def test_no_start_with_another_master_key_than_that_of_stored_keys(
    settings: Settings, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_MASTER_KEY", as_text(ONE))
    key_id = await command("add", "claude", said="key-number-1")
    other = settings.model_copy(update={"master_key": Settings(master_key=as_text(TWO)).master_key})
    with pytest.raises(MasterKeyRefused, match=f"its id: {master_id(ONE)}.*gateway keys remove {key_id}"):
        async with serve_gateway(other):
            pass


@pytest.mark.usefixtures("_quick_looks")
async def test_a_rewrap_takes_no_key_from_a_running_gateway(
    settings: Settings,
    command: Command,
    scripted_upstream: ScriptedUpstream,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("GATEWAY_MASTER_KEY", as_text(ONE))
    await command("add", "claude", said="key-number-1")
    of_old = settings.model_copy(update={"master_key": Settings().master_key})
    async with serve_gateway(of_old) as gateway:
        ada = await gateway.person("ada")
        monkeypatch.setenv("GATEWAY_MASTER_KEY", as_text(TWO, ONE))
        assert await command("rewrap") == "Rewrapped"
        await asyncio.sleep(0.2)
        assert await used(ada, scripted_upstream, 2) == ["key-number-1"] * 2
    assert [record for record in caplog.records if record.name == "gateway.keys"] == []
    monkeypatch.setenv("GATEWAY_MASTER_KEY", as_text(TWO))
    of_new = settings.model_copy(update={"master_key": Settings().master_key})
    async with serve_gateway(of_new) as gateway:
        ada = again(gateway, ada)
        assert await has_key(ada)


@pytest.mark.usefixtures("_quick_looks")
async def test_a_look_that_fails_is_not_the_last_one(
    gateway: Gateway, command: Command, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ada = await gateway.person("ada")

    def fails(*_: object) -> None:
        raise StorageUnavailable("The database does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(provider_keys, "list_provider_keys", fails)

        async def is_told() -> bool:
            return any(record.levelno == logging.WARNING for record in caplog.records)

        await within(2, is_told)
    await command("add", "claude", said="key-number-1")
    await within(2, lambda: has_key(ada))
