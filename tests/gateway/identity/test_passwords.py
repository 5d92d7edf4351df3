"""Hashing, its bounds, and the rules for choosing a password."""

import asyncio
import threading
from collections.abc import Iterator

import argon2
import pytest

from gateway.errors import InvalidInput, Unavailable
from gateway.identity import passwords as module
from gateway.identity.passwords import LONGEST_QUEUE, Passwords, check_password

pytestmark = pytest.mark.anyio

GOOD = "correct horse battery"


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(workers=2)
    yield made
    made.close()


async def test_a_hash_is_argon2id_with_the_parameters_that_were_decided(passwords: Passwords) -> None:
    stored = await passwords.hash(GOOD)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify(stored, GOOD)
    assert not await passwords.verify(stored, GOOD + " ")


async def test_a_password_counts_as_it_was_sent(passwords: Passwords) -> None:
    stored = await passwords.hash(" caf\u00e9 caf\u00e9 ")
    assert not await passwords.verify(stored, "caf\u00e9 caf\u00e9")
    assert not await passwords.verify(stored, " cafe\u0301 cafe\u0301 ")


async def test_nobodys_password_is_never_right(passwords: Passwords) -> None:
    assert not await passwords.verify(None, GOOD)


async def test_a_damaged_hash_refuses(passwords: Passwords) -> None:
    assert not await passwords.verify("not a hash", GOOD)


async def test_other_parameters_are_noticed(passwords: Passwords) -> None:
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(GOOD)
    assert passwords.is_outdated(weak)
    assert not passwords.is_outdated(await passwords.hash(GOOD))


async def test_a_full_queue_answers_at_once(monkeypatch: pytest.MonkeyPatch, passwords: Passwords) -> None:
    gate = threading.Event()

    class Stuck:
        def hash(self, password: bytes) -> str:
            gate.wait(10)
            return "hash"

    monkeypatch.setattr(module, "_HASHER", Stuck())
    waiting = [asyncio.ensure_future(passwords.hash(GOOD)) for _ in range(2 + LONGEST_QUEUE)]
    await asyncio.sleep(0)
    try:
        with pytest.raises(Unavailable) as refused:
            await passwords.hash(GOOD)
        assert refused.value.retry_after == 1
    finally:
        gate.set()
    assert set(await asyncio.gather(*waiting)) == {"hash"}
    assert await passwords.hash(GOOD) == "hash"


@pytest.mark.parametrize(
    "password",
    [
        *("", "1234567", "x" * 257, "\U0001f600" * 257),
        *("Ann-Marie", "ANN-MARIE", "ann.m@example.org", "Ann.Marie.M"),
        *("password", "PassWord1", "qwertyuiop", "iloveyou"),
    ],
)
def test_a_password_that_is_easily_guessed_is_refused(password: str) -> None:
    email = "ann.m@example.org" if "@" in password else "ann.marie.m@example.org"
    with pytest.raises(InvalidInput) as refused:
        check_password(password, username="ann-marie", email=email)
    assert refused.value.extra["errors"][0]["pointer"] == "/password"


def test_a_refusal_does_not_quote_the_password() -> None:
    with pytest.raises(InvalidInput) as refused:
        check_password("QwertyUiop", username="ann", email=None)
    assert "qwerty" not in str(refused.value.__dict__).casefold()


@pytest.mark.parametrize("password", ["12345679", "x" * 256, GOOD, "\U0001f600" * 8, "ann-marie1"])
def test_other_passwords_are_fine(password: str) -> None:
    check_password(password, username="ann-marie", email="ann@example.org")
