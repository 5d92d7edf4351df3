"""How the first admin comes to be: signing up on the machine itself, or with a code from the server's terminal."""

from collections.abc import Collection

import msgspec

from gateway.identity.tokens import hash_setup_code, new_setup_code
from storage.database import Database
from storage.people.setup import admin_is_made, set_setup_code

_FORWARDING_HEADERS = ("forwarded", "via", "x-real-ip")
_FORWARDING_PREFIX = "x-forwarded-"


class Bind(msgspec.Struct, frozen=True):
    """Where the server listens, and whether only its own machine reaches it there."""

    host: str
    loopback: bool


def is_forwarded(header_names: Collection[str]) -> bool:
    """Whether a proxy passed the request on: then it came from who knows where, even to a loopback address."""
    return any(name in _FORWARDING_HEADERS or name.startswith(_FORWARDING_PREFIX) for name in header_names)


async def announce_setup_code(database: Database, bind: Bind) -> str | None:
    """A new one-time code to print when the server is reached from elsewhere and nobody administers it yet."""
    if bind.loopback or await database.read(admin_is_made):
        return None
    code = new_setup_code()
    return code if await database.write(set_setup_code, hash_setup_code(code)) else None
