"""`gateway users` on a SQLite file."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import argon2
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection, select

from gateway.accounts.first_admin import Bind, announce_setup_code
from gateway.cli.users import users
from storage.database import Database, open_database
from storage.people.audit_log import AuditEntry
from storage.people.credentials import create_access_token, list_access_tokens, list_logins, open_login
from storage.people.users import UserRole, create_user, find_login

GOOD = "correct horse battery"

Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `gateway users ...` on a database that does not exist yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path / "data"))
    return lambda *arguments, said="": CliRunner().invoke(users, arguments, input=said)


@pytest.fixture
def on_database(tmp_path: Path, command: Command) -> Callable[[Callable[[Database], Awaitable[Any]]], Any]:
    """Does something with the database of the commands."""

    async def run(work: Callable[[Database], Awaitable[Any]]) -> Any:
        database = await open_database(f"sqlite:///{tmp_path / 'data' / 'gateway.db'}")
        try:
            return await work(database)
        finally:
            await database.close()

    return lambda work: asyncio.run(run(work))


def test_an_admin_is_made_with_the_password_from_the_standard_input(command: Command, on_database: Any) -> None:
    answer = command("create-admin", "ann", "--email", "ann@example.org", said=f"{GOOD}\n")
    assert (answer.exit_code, answer.output) == (0, "ann is an admin now.\n")
    account, stored = on_database(lambda database: database.read(find_login, "ann@example.org"))
    assert account.role is UserRole.admin
    assert argon2.PasswordHasher().verify(stored, GOOD)


def test_after_that_nobody_becomes_the_first_admin(command: Command, on_database: Any) -> None:
    command("create-admin", "ann", said=f"{GOOD}\n")
    outside = Bind("0.0.0.0", loopback=False)
    assert on_database(lambda database: announce_setup_code(database, outside)) is None


@pytest.mark.parametrize(
    ("name", "email", "password", "said"),
    [
        ("ann", "a@b", "sh0rt", "too short"),
        ("a b", "a@b", GOOD, "username"),
        ("ann", "ab", GOOD, "no email"),
        ("first", "c@d", GOOD, "taken"),
    ],
)
def test_what_is_refused_is_a_sentence(command: Command, name: str, email: str, password: str, said: str) -> None:
    command("create-admin", "first", said=f"{GOOD}\n")
    answer = command("create-admin", name, "--email", email, said=f"{password}\n")
    assert answer.exit_code == 1
    assert answer.output.startswith("Error: ")
    assert said in answer.output
    assert password not in answer.output


def test_the_last_admin_stays_one(command: Command) -> None:
    command("create-admin", "ann", said=f"{GOOD}\n")
    answer = command("set-role", "ann", "member")
    assert (answer.exit_code, "last admin" in answer.output) == (1, True)
    command("create-admin", "bob", said=f"{GOOD}\n")
    assert command("set-role", "ann", "member").output == "ann is a member now.\n"
    listed = [line.split("\t")[:2] for line in command("list").output.splitlines()]
    assert listed == [["ann", "member"], ["bob", "admin"]]


def test_the_list_is_complete_however_long(command: Command, on_database: Any) -> None:
    command("list")

    async def fill(database: Database) -> None:
        names = (f"user{n:03}" for n in range(201))
        await asyncio.gather(
            *(database.write(create_user, username=name, email=None, password_hash="") for name in names)
        )

    on_database(fill)
    assert len(command("list").output.splitlines()) == 201


@pytest.mark.parametrize("ask", [False, True])
def test_a_reset_password_works_and_ends_everything(command: Command, on_database: Any, ask: bool) -> None:
    command("create-admin", "ann", said=f"{GOOD}\n")

    async def prepare(database: Database) -> Any:
        found = await database.read(find_login, "ann")
        assert found is not None
        account, proven = found
        day = timedelta(days=1)
        await database.write(open_login, account.id, proven=proven, token_hash=b"a" * 32, user_agent="", lifetime=day)
        await database.write(
            create_access_token, account.id, name="t", token_hash=b"b" * 32, display="", scopes=[], lifetime=day
        )
        return account.id

    user_id = on_database(prepare)
    if ask:
        answer = command("reset-password", "ann", "--ask", said="another horse entirely\n")
        new = "another horse entirely"
        assert new not in answer.output
    else:
        answer = command("reset-password", "ann")
        new = re.findall(r"shown this once: (\S{20})\n", answer.output)[0]
    assert answer.exit_code == 0

    def audited(connection: Connection) -> list[str]:
        return list(connection.execute(select(AuditEntry.action).order_by(AuditEntry.id)).scalars())

    async def look(database: Database) -> Any:
        found = await database.read(find_login, "ann")
        assert found is not None
        logins = await database.read(list_logins, user_id)
        return found[1], logins, await database.read(list_access_tokens, user_id), await database.read(audited)

    stored, logins, tokens, actions = on_database(look)
    assert argon2.PasswordHasher().verify(stored, new)
    assert (logins, tokens) == ([], [])
    assert actions[-1] == "user.password_reset"


def test_who_does_not_exist_is_told(command: Command) -> None:
    for arguments in (("reset-password", "nobody"), ("set-role", "nobody", "admin")):
        answer = command(*arguments)
        assert (answer.exit_code, "nobody called 'nobody'" in answer.output) == (1, True)


def test_wrong_settings_are_told_in_a_sentence(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_DATABASE_URL", "mysql://root:secret@host/name")
    answer = command("list")
    assert answer.exit_code == 1
    assert answer.output.startswith("Error: ")
    assert "secret" not in answer.output
    monkeypatch.setenv("GATEWAY_LOGIN_DAYS", "many")
    assert "GATEWAY_LOGIN_DAYS" in command("list").output
