"""How often somebody may try to log in, sign up, or say a password.

An attempt is spent before the password is verified, so that many at once gain nothing, and pardoned when it was
right. Accounts are counted by the name that was typed, known or not: the counting tells nobody which names exist.
A device that logged in to the account before is counted by itself, so that strangers cannot use its attempts up.
An address is its network (/24, or /48 of IPv6), since whoever has one address of it mostly has the others too: a
site is given a /48, and could otherwise come from 65,536 networks, each with a row of its own.
"""

import hashlib
import ipaddress
from uuid import UUID

import msgspec

from storage.database import Database
from storage.people.allowances import Use, give_back, restore, spend_all
from storage.people.users import fold

TOO_MANY = "Too many attempts. Wait a moment before the next one."


class Attempt(msgspec.Struct, frozen=True):
    """A login that was begun; `pardon` it when the password was right."""

    here: Use
    anywhere: Use | None


async def begin_login(database: Database, name: str, host: str | None, device: str | None) -> Attempt:
    """Spend one attempt at this name, of a known device or else from this address. Raises `AllowanceSpent`."""
    if device is not None:
        own = Use(f"login-device:{device}", burst=5, interval=60)
        await database.write(spend_all, (own,), sentence=TOO_MANY)
        return Attempt(here=own, anywhere=None)
    account, network = _digest(fold(name)), network_of(host)
    here = Use(f"login:{account}:{network}", burst=5, interval=60)
    anywhere = Use(f"login:{account}", burst=20, interval=60)
    address = Use(f"login-address:{network}", burst=30, interval=2)
    await database.write(spend_all, (here, anywhere, address), sentence=TOO_MANY)
    return Attempt(here, anywhere)


async def pardon(database: Database, attempt: Attempt) -> None:
    """The password was right: forget the failures from here, and do not count this attempt anywhere."""
    await database.write(restore, attempt.here.key)
    if attempt.anywhere is not None:
        await database.write(give_back, attempt.anywhere)


async def spend_signup(database: Database, host: str | None, *, loopback: bool) -> None:
    """Spend one sign-up from this address; looser on loopback. Raises `AllowanceSpent`."""
    burst, interval = (60, 1) if loopback else (5, 600)
    use = Use(f"signup-address:{network_of(host)}", burst=burst, interval=interval)
    await database.write(spend_all, (use,), sentence=TOO_MANY)


async def begin_password_check(database: Database, user_id: UUID) -> Use:
    """Spend one attempt of a person who is logged in to prove their password. Raises `AllowanceSpent`."""
    use = Use(f"password:{user_id}", burst=5, interval=60)
    await database.write(spend_all, (use,), sentence=TOO_MANY)
    return use


def network_of(host: str | None) -> str:
    """The network that an address belongs to; `local` for what is no IP address (a Unix socket)."""
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return "local"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]
