"""`gateway keys` as an operator calls it: what goes in, what is told, and that no key is among it."""

import asyncio
import os
import pty
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection, update

from gateway.cli import keys as module
from gateway.cli.keys import keys
from gateway.keys.master_key import read_master_keys
from gateway.keys.sealed_keys import open_key
from gateway.settings import Settings
from storage.database import open_database
from storage.errors import StorageUnavailable
from storage.keys import provider_keys as store
from storage.keys.provider_keys import ProviderKey, SealedKey
from storage.keys.vault import Vault, master_id

ONE, TWO = (bytes([number]) * 32 for number in (1, 2))
KEY = 'sk-canary-"5f1d7c\\+/=='
PERSONAS = """\
version: 1
providers:
  house: {kind: openai-compatible, base_url: "http://127.0.0.1:9100/v1"}
  claude: {kind: anthropic}
  here: {kind: local}
  echo: {kind: echo}
models: {echo: {provider: echo, name: echo, window: 8000, max_output: 1000}}
defaults: {model: echo, access: {roles: [member]}}
personas: {mia: {name: Mia, system: "You are Mia."}}
"""


class Desk:
    """An operator's working directory, and commands called in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data = folder / "data"
        self.personas = folder / "personas.yaml"
        self.personas.write_text(PERSONAS)
        self._monkeypatch = monkeypatch
        monkeypatch.chdir(folder)

    def master(self, *master_keys: bytes) -> None:
        """Set the master keys."""
        self._monkeypatch.setenv("GATEWAY_MASTER_KEY", ",".join(b64encode(key).decode() for key in master_keys))

    def run(self, *words: str, said: str = "") -> Result:
        """Call the command; whatever it tells, it tells no key and no master key."""
        result = CliRunner().invoke(keys, words, input=said)
        assert result.exit_code != 1 or "Error: " in result.output, result.output
        for secret in (
            KEY,
            *([said.strip()] if len(said) > 4 else []),
            *(b64encode(key).decode() for key in (ONE, TWO)),
        ):
            assert secret not in result.output
        return result

    def add(self, said: str = KEY, name: str = "house") -> UUID:
        """Add a key; its id."""
        result = self.run("add", name, said=said)
        assert result.exit_code == 0, result.output
        return UUID(result.output.split()[0])

    def listed(self) -> list[list[str]]:
        """What `list` tells, without ids and dates: provider, origin, whether replaced, state."""
        lines = (line.split("\t") for line in self.run("list").stdout.splitlines()[1:])
        return [
            [provider, origin, "-" if then == "-" else "+", state] for _, provider, origin, _, _, then, state in lines
        ]

    def on_database(self, *call: Any) -> Any:
        """Write a unit on the database of the commands."""

        async def work() -> Any:
            database = await open_database(f"sqlite:///{self.data / 'gateway.db'}")
            try:
                return await database.write(*call)
            finally:
                await database.close()

        return asyncio.run(work())

    def stored(self) -> list[SealedKey]:
        """The rows."""
        return self.on_database(store.list_provider_keys)  # type: ignore[no-any-return]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def test_the_first_key_makes_the_master_key_and_is_sealed_under_it(desk: Desk) -> None:
    key_id = desk.add(f"  {KEY}\r\n")
    (stored,) = desk.stored()
    assert (stored.id, stored.provider, stored.origin) == (key_id, "house", "http://127.0.0.1:9100")
    assert (desk.data / "master.key").stat().st_mode & 0o777 == 0o600
    master = read_master_keys(Settings(data_dir=desk.data))
    assert master is not None
    assert open_key(Vault(master), stored).secret.reveal() == KEY


def test_a_second_key_is_added_and_both_are_listed(desk: Desk) -> None:
    desk.add()
    desk.add("another-key")
    desk.add(KEY, "claude")
    house = ["house", "http://127.0.0.1:9100", "-", "usable"]
    assert desk.listed() == [house, house, ["claude", "https://api.anthropic.com:443", "-", "usable"]]


def test_the_list_holds_no_piece_of_a_key(desk: Desk) -> None:
    key = "ghijklmnopqrstuvwxyz"
    desk.add(key)
    told = desk.run("list").output
    assert not [piece for start in range(17) if (piece := key[start : start + 4]) in told]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("huose", "There is no provider 'huose' in the personas file; did you mean 'house'?"),
        ("here", "'here' is of kind local and needs no key."),
        ("echo", "'echo' is of kind echo and needs no key."),
    ],
)
def test_a_name_that_takes_no_key_is_told_before_one_is_asked_for(desk: Desk, name: str, told: str) -> None:
    result = desk.run("add", name)
    assert (result.exit_code, told in result.output) == (1, True)
    assert not desk.data.exists()


@pytest.mark.parametrize(
    "said", ["", "\n", "short", "x" * 4097, "two words-of-it", "first-line\nsecond-line", "schlüssel-ä"]
)
def test_what_is_no_key_is_refused(desk: Desk, said: str) -> None:
    result = desk.run("add", "house", said=said)
    assert result.exit_code == 1
    assert "A key " in result.output
    assert not desk.data.exists()


@pytest.mark.parametrize("words", [["add", "house", KEY], ["add", "house", f"--key={KEY}"], ["replace", KEY]])
def test_a_key_as_an_argument_is_refused_and_not_repeated(desk: Desk, words: list[str]) -> None:
    result = desk.run(*words)
    assert result.exit_code == 2
    assert "should be revoked" in result.output


def test_a_key_is_not_seen_on_a_terminal(desk: Desk) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gateway.cli", "keys", "add", "house"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        seen = b""
        while b"Key" not in seen:
            seen += os.read(ours, 1024)
        os.write(ours, f"{KEY}\n".encode())
        try:
            while more := os.read(ours, 1024):
                seen += more
        except OSError:  # how a terminal tells that nobody is at its other end any more
            pass
        assert process.wait(10) == 0, seen
    os.close(ours)
    assert b"is a key of house now" in seen
    assert KEY.encode() not in seen
    assert len(desk.stored()) == 1


def test_the_same_key_is_not_stored_twice(desk: Desk) -> None:
    desk.master(ONE)
    desk.add()
    for masters in ((ONE,), (TWO, ONE)):
        desk.master(*masters)
        result = desk.run("add", "house", said=KEY)
        assert (result.exit_code, "is stored already" in result.output) == (1, True)
    assert len(desk.stored()) == 1


def test_a_key_is_replaced_in_its_row(desk: Desk) -> None:
    key_id = desk.add()
    (before,) = desk.stored()
    assert desk.run("replace", str(key_id), said="another-key").exit_code == 0
    (after,) = desk.stored()
    assert after.id == key_id
    assert after.fingerprint != before.fingerprint
    assert desk.listed() == [["house", "http://127.0.0.1:9100", "+", "usable"]]


def test_a_removed_key_is_gone(desk: Desk) -> None:
    key_id = desk.add()
    assert "Revoke it at the provider" in desk.run("remove", str(key_id)).output
    assert desk.stored() == []
    for words in (["remove", str(key_id)], ["replace", str(key_id)]):
        result = desk.run(*words)
        assert (result.exit_code, "no such provider key" in result.output) == (1, True)


def test_a_key_of_another_address_is_listed_as_such_and_entered_anew(desk: Desk) -> None:
    desk.add()
    desk.personas.write_text(PERSONAS.replace(":9100", ":9200"))
    ((_, origin, _, state),) = desk.listed()
    assert origin == "http://127.0.0.1:9100"
    assert state == "The provider is at http://127.0.0.1:9200 now; replace the key to send it there."
    desk.add()
    assert [state for *_, state in desk.listed()][1] == "usable"


def test_a_key_of_a_provider_that_is_gone_is_listed_as_such(desk: Desk) -> None:
    desk.add()
    desk.personas.write_text(PERSONAS.replace("  house: {kind: openai-compatible", "  home: {kind: openai-compatible"))
    assert desk.listed()[0][-1] == "The personas file declares no such provider."


def test_a_row_that_does_not_open_is_listed_beside_those_that_do(desk: Desk) -> None:
    broken, _ = desk.add(), desk.add("another-key")

    def point_elsewhere(connection: Connection) -> None:
        connection.execute(update(ProviderKey).where(ProviderKey.id == broken).values(origin="http://evil.example:80"))  # type: ignore[arg-type]

    desk.on_database(point_elsewhere)
    states = [state for *_, state in desk.listed()]
    assert states == ["This value was changed, or was sealed for another place.", "usable"]


def test_a_missing_master_key_is_never_made_anew(desk: Desk) -> None:
    key_id = desk.add()
    (desk.data / "master.key").rename(desk.data / "elsewhere")
    for words in (["add", "house"], ["replace", str(key_id)], ["rewrap"]):
        result = desk.run(*words, said="another-key")
        assert result.exit_code == 1
        assert "1 provider key is stored, and the master key that opens them is missing" in result.output
    assert not (desk.data / "master.key").exists()
    assert desk.listed()[0][-1] == "The master key is missing."
    assert desk.run("remove", str(key_id)).exit_code == 0
    desk.add()


def test_an_unknown_master_key_is_named_with_what_to_do(desk: Desk) -> None:
    desk.master(ONE)
    key_id = desk.add()
    desk.master(TWO)
    for words in (["add", "house"], ["replace", str(key_id)], ["rewrap"]):
        result = desk.run(*words, said="another-key")
        assert result.exit_code == 1
        for told in (f"its id: {master_id(ONE)}", "GATEWAY_MASTER_KEY", f"`gateway keys remove {key_id}`"):
            assert told in result.output
    assert desk.listed()[0][-1] == "This value is sealed under a master key that is not at hand."


def test_a_rewrap_moves_all_keys_to_the_first_master_key(desk: Desk) -> None:
    desk.master(ONE)
    ids = [desk.add(f"key-number-{number}") for number in range(3)]
    desk.master(TWO, ONE)
    assert "Rewrapped 3 of 3 " in desk.run("rewrap").output
    assert "Rewrapped 0 of 0 " in desk.run("rewrap").output
    desk.master(TWO)
    assert [state for *_, state in desk.listed()] == ["usable"] * 3
    assert [key.id for key in desk.stored()] == ids
    assert "is stored already" in desk.run("add", "house", said="key-number-1").output  # fingerprints moved too


def test_an_interrupted_rewrap_goes_on_where_it_ended(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.master(ONE)
    for number in range(5):
        desk.add(f"key-number-{number}")
    desk.master(TWO, ONE)
    rewrap_provider_keys = store.rewrap_provider_keys
    units: list[int] = []

    def dies_in_the_second_unit(connection: Connection, rewrapped: Any) -> int:
        units.append(len(rewrapped))
        done = rewrap_provider_keys(connection, rewrapped)
        if len(units) == 2:
            raise StorageUnavailable("The power went.")
        return done

    with monkeypatch.context() as patch:
        patch.setattr(module, "BATCH", 2)
        patch.setattr(store, "rewrap_provider_keys", dies_in_the_second_unit)
        assert desk.run("rewrap").exit_code == 1
    assert units == [2, 2]
    assert sorted(key.master == master_id(TWO) for key in desk.stored()) == [False] * 3 + [True] * 2
    assert [state for *_, state in desk.listed()] == ["usable"] * 5
    assert "Rewrapped 3 of 3 " in desk.run("rewrap").output
    desk.master(TWO)
    assert [state for *_, state in desk.listed()] == ["usable"] * 5


def test_a_rewrap_tells_what_does_not_open_and_rewraps_the_rest(desk: Desk) -> None:
    desk.master(ONE)
    broken, _ = desk.add(), desk.add("another-key")
    (row, _) = desk.stored()
    cut = msgspec.structs.replace(row, envelope=row.envelope[:-4])
    desk.on_database(store.rewrap_provider_keys, [(row, cut)])
    desk.master(TWO, ONE)
    result = desk.run("rewrap")
    assert result.exit_code == 1
    assert f"{broken} (house): This value " in result.output
    assert "Rewrapped 1 of 2 " in result.output
    assert "keep the other master keys" in result.output
