"""`gateway users`: the accounts of the database that the settings name; a running server sees changes within 1 s."""

import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from gateway.accounts.names import check_email, check_username
from gateway.cli.opening import load_settings, run_on_database
from gateway.identity.passwords import Passwords, check_password
from storage.database import Database
from storage.errors import NotFound
from storage.people import users as people
from storage.people.credentials import reset_password as store_reset_password
from storage.people.users import Account, UserRole

T = TypeVar("T")

PAGE = 100


@click.group()
def users() -> None:
    """Make admins, reset passwords, change roles."""


@users.command("create-admin")
@click.argument("username")
@click.option("--email", help="An address to log in with, beside the name.")
def create_admin(username: str, email: str | None) -> None:
    """Make an admin called USERNAME. The password is asked for, or read from the standard input."""
    password = _ask_password()

    async def create(database: Database) -> Account:
        check_username(username)
        check_password(password, username=username, email=check_email(email) if email else None)
        password_hash = await _hash(password)
        return await database.write(
            people.create_user, username=username, email=email, password_hash=password_hash, role=UserRole.admin
        )

    account = _run(create)
    click.echo(f"{account.username} is an admin now.")


@users.command("reset-password")
@click.argument("username")
@click.option("--ask", is_flag=True, help="Ask for the new password, or read it from the standard input.")
def reset_password(username: str, ask: bool) -> None:
    """Give USERNAME a new password, random unless asked for; all their logins and access tokens end."""
    password = _ask_password() if ask else secrets.token_urlsafe(15)

    async def reset(database: Database) -> None:
        account = await _find(database, username)
        check_password(password, username=account.username, email=account.email)
        await database.write(store_reset_password, account.id, await _hash(password))

    _run(reset)
    click.echo(f"{username} has a new password; all their logins and access tokens ended.")
    if not ask:
        click.echo(f"The password, shown this once: {password}")


@users.command("set-role")
@click.argument("username")
@click.argument("role", type=click.Choice([str(role) for role in UserRole]))
def set_role(username: str, role: str) -> None:
    """Make USERNAME a member, a moderator or an admin. The last admin stays one."""

    async def change(database: Database) -> Account:
        account = await _find(database, username)
        return await database.write(people.change_standing, None, account.id, role=UserRole(role))

    account = _run(change)
    click.echo(f"{account.username} is a {account.role} now.")


@users.command("list")
def list_users() -> None:
    """List people by name, with their roles."""

    async def collect(database: Database) -> list[Account]:
        found: list[Account] = []
        while page := await database.read(
            people.list_users, after=people.fold(found[-1].username) if found else None, limit=PAGE
        ):
            found += page
        return found

    for account in _run(collect):
        click.echo(f"{account.username}\t{account.role}\t{account.created_at:%Y-%m-%d}")


async def _find(database: Database, username: str) -> Account:
    found = await database.read(people.find_login, username)
    if found is None:
        raise NotFound(f"There is nobody called {username!r}. `gateway users list` tells who there is.")
    return found[0]


async def _hash(password: str) -> str:
    passwords = Passwords(workers=1)
    try:
        return await passwords.hash(password)
    finally:
        passwords.close()


def _ask_password() -> str:
    """The password from the terminal, or the first line of the standard input; never an argument, which `ps` shows."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _run(work: Callable[[Database], Awaitable[T]]) -> T:
    return run_on_database(load_settings(), work)
