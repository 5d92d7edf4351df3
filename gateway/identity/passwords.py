"""Passwords: argon2id off the event loop, few at a time, and the rules for choosing one.

The parameters are OWASP's (t=2, m=19 MiB, p=1: about 20 ms). A hash occupies a core and its memory, so there are
as many workers as cores and a short queue; a longer one answers 503 rather than keep everybody waiting.
"""

import asyncio
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.errors import InvalidInput, Unavailable
from gateway.identity.common_passwords import COMMON_PASSWORDS

T = TypeVar("T")

SHORTEST = 8
LONGEST = 256
MOST_BYTES = 1024
LONGEST_QUEUE = 32

_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


class Passwords:
    """Hashes and verifies passwords in threads of its own; a password counts byte by byte as it was sent."""

    def __init__(self, *, workers: int | None = None) -> None:
        self._workers = workers or os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="argon2")
        self._under_way = 0
        self._nobodys = _HASHER.hash(secrets.token_bytes(16))

    async def hash(self, password: str) -> str:
        """The PHC string to store. Raises `Unavailable` when too many wait already."""
        return await self._in_a_thread(lambda: _HASHER.hash(password.encode()))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is that of the stored hash.

        None stands for an account that does not exist: it costs the same work, so that time tells nobody apart.
        """
        return await self._in_a_thread(lambda: _matches(stored or self._nobodys, password)) and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return _HASHER.check_needs_rehash(stored)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_a_thread(self, work: Callable[[], T]) -> T:
        if self._under_way >= self._workers + LONGEST_QUEUE:
            raise Unavailable("Too many people are logging in at this moment. Try again in a second.", retry_after=1)
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1


def check_password(password: str, *, username: str, email: str | None, pointer: str = "/password") -> None:
    """Raise `InvalidInput`, with a sentence that says what to do, for a password that is easily guessed."""
    sentence = _objection(password, username, email)
    if sentence is not None:
        raise InvalidInput(sentence, errors=[{"pointer": pointer, "message": sentence}])


def _objection(password: str, username: str, email: str | None) -> str | None:
    if len(password) < SHORTEST:
        return f"The password is too short. Use {SHORTEST} characters or more."
    if len(password) > LONGEST or len(password.encode()) > MOST_BYTES:
        return f"The password is too long. Use at most {LONGEST} characters."
    folded = password.casefold()
    if folded == username.casefold() or (email and folded in (email.casefold(), email.casefold().split("@")[0])):
        return "The password is your name or email. Choose one that nobody can guess."
    if folded in COMMON_PASSWORDS:
        return "This password is among those that are tried first. Choose one that nobody can guess."
    return None


def _matches(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password.encode())
    except (VerificationError, InvalidHashError):
        return False
