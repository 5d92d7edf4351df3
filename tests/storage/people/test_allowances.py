"""Rate limits on both databases, by a clock that the tests turn."""

import asyncio
from typing import Any

import pytest

from storage.database import Database
from storage.errors import AllowanceSpent
from storage.people import allowances
from storage.people.allowances import Use, forget_full_allowances, give_back, restore, spend, spend_all

pytestmark = pytest.mark.anyio

SECOND = 1_000_000_000


class Clock:
    """Stands still unless turned."""

    def __init__(self) -> None:
        self.ns = 1_900_000_000 * SECOND

    def time_ns(self) -> int:
        return self.ns


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(allowances, "time", clock)
    return clock


async def use(database: Database, key: str = "ann", **limit: Any) -> bool:
    try:
        await database.write(spend, key, **{"burst": 3, "interval": 10, "sentence": "Wait.", **limit})
    except AllowanceSpent:
        return False
    return True


async def test_many_at_once_get_the_burst_and_no_more(database: Database) -> None:
    outcomes = await asyncio.gather(*(use(database, burst=5) for _ in range(16)))
    assert sum(outcomes) == 5


async def test_one_use_comes_back_each_interval(database: Database, clock: Clock) -> None:
    assert [await use(database) for _ in range(4)] == [True, True, True, False]
    clock.ns += 10 * SECOND - 1000
    assert not await use(database)
    clock.ns += 1000
    assert [await use(database) for _ in range(2)] == [True, False]
    clock.ns += 1000 * SECOND
    assert [await use(database) for _ in range(4)] == [True, True, True, False]


async def test_a_refusal_says_when_to_come_back(database: Database, clock: Clock) -> None:
    for _ in range(3):
        await use(database)
    clock.ns += 4 * SECOND
    with pytest.raises(AllowanceSpent, match=r"Wait\.") as refused:
        await database.write(spend, "ann", burst=3, interval=10, sentence="Wait.")
    assert refused.value.retry_after == 6


async def test_keys_do_not_share(database: Database) -> None:
    assert [await use(database, "ann", burst=1), await use(database, "bob", burst=1)] == [True, True]


async def test_of_several_uses_all_are_spent_or_none(database: Database) -> None:
    wide, narrow = Use("wide", 5, 10), Use("narrow", 1, 10)
    await database.write(spend_all, (wide, narrow), sentence="Wait.")
    for _ in range(3):
        with pytest.raises(AllowanceSpent):
            await database.write(spend_all, (wide, narrow), sentence="Wait.")
    assert [await use(database, "wide", burst=5) for _ in range(5)] == [True] * 4 + [False]


async def test_a_use_can_be_given_back_and_a_key_restored(database: Database) -> None:
    for _ in range(3):
        await use(database)
    await database.write(give_back, Use("ann", 3, 10))
    assert [await use(database) for _ in range(2)] == [True, False]
    await database.write(restore, "ann")
    assert [await use(database) for _ in range(4)] == [True, True, True, False]


async def test_forgetting_full_allowances_gives_nobody_more(database: Database, clock: Clock) -> None:
    for _ in range(3):
        await use(database)
    clock.ns += 25 * SECOND
    await database.write(forget_full_allowances)
    assert [await use(database) for _ in range(3)] == [True, True, False]
