"""What a sign-up page has to know before anybody is logged in."""

from typing import Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency

from gateway.accounts.accounts import Accounts
from gateway.accounts.first_admin import Bind
from gateway.identity.guards import PUBLIC
from storage.database import Database
from storage.people.setup import admin_is_made


class SetupView(msgspec.Struct, frozen=True):
    """Whether strangers may sign up, and whether the first account is still to be made, with or without a code."""

    signup: Literal["open", "closed"]
    first_account: bool
    needs_setup_code: bool


@get("/api/setup", opt=PUBLIC, tags=["auth"])
async def read_setup(
    database: NamedDependency[Database], accounts: NamedDependency[Accounts], bind: NamedDependency[Bind]
) -> SetupView:
    """How one gets an account here."""
    is_first = not await database.read(admin_is_made)
    return SetupView(accounts.signup, is_first, is_first and not bind.loopback)
