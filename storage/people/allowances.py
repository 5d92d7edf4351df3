"""Rate limits that hold across processes and restarts: one row a key, one conditional statement a use.

The scheme is GCRA (the generic cell rate algorithm, ATM Forum TM 4.0): a row holds the time at which the key will
have its whole burst again. A use moves that time on by one interval, and is refused when it would lie further
ahead than the burst reaches.
"""

import time
from collections.abc import Sequence

import msgspec
from sqlalchemy import BigInteger, Column, Connection, bindparam, case, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, col

from storage.database.columns import Table
from storage.database.statements import Statement
from storage.errors import AllowanceSpent


class Allowance(Table, table=True):
    """One rate limit of one person, account or address. `full_at` is in microseconds since 1970."""

    key: str = Field(primary_key=True)
    full_at: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))


class Use(msgspec.Struct, frozen=True):
    """One use of a key that has `burst` of them, of which one comes back every `interval` seconds."""

    key: str
    burst: int
    interval: float


_LATER = case(
    (col(Allowance.full_at) > bindparam("moment"), col(Allowance.full_at)),
    else_=bindparam("moment", type_=BigInteger),
)
_SPEND = Statement(
    {
        name: dialect.insert(Allowance)
        .values(key=bindparam("key"), full_at=bindparam("first", type_=BigInteger))
        .on_conflict_do_update(
            index_elements=["key"],
            set_={"full_at": _LATER + bindparam("interval", type_=BigInteger)},
            where=col(Allowance.full_at) <= bindparam("latest", type_=BigInteger),
        )
        .returning(col(Allowance.full_at))
        for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
    }
)


def spend(connection: Connection, key: str, *, burst: int, interval: float, sentence: str) -> None:
    """Use one of `burst` uses, of which one comes back every `interval` seconds.

    Raises `AllowanceSpent` with `sentence` when none is left. Until the transaction ends nobody else spends from
    the same key, which also puts one person's concurrent requests in a row on PostgreSQL.
    """
    moment = time.time_ns() // 1000
    step = int(interval * 1_000_000)
    latest = moment + step * (burst - 1)
    bound = {"key": key, "moment": moment, "first": moment + step, "interval": step, "latest": latest}
    if _SPEND.first(connection, bound) is None:
        full_at = connection.execute(select(col(Allowance.full_at)).where(col(Allowance.key) == key)).scalar_one()
        raise AllowanceSpent(sentence, retry_after=(full_at - latest) / 1_000_000)


def spend_all(connection: Connection, uses: Sequence[Use], *, sentence: str) -> None:
    """Spend each of the uses, or none of them. Callers name kinds of keys in the same order, lest they deadlock."""
    for use in uses:
        spend(connection, use.key, burst=use.burst, interval=use.interval, sentence=sentence)


def give_back(connection: Connection, use: Use) -> None:
    """Undo one use."""
    earlier = col(Allowance.full_at) - int(use.interval * 1_000_000)
    connection.execute(update(Allowance).where(col(Allowance.key) == use.key).values(full_at=earlier))


def restore(connection: Connection, key: str) -> None:
    """Give a key its whole burst back."""
    connection.execute(delete(Allowance).where(col(Allowance.key) == key))


def forget_full_allowances(connection: Connection) -> None:
    """Delete the rows that say nothing any more, so that the table stays as small as the present traffic."""
    connection.execute(delete(Allowance).where(col(Allowance.full_at) < time.time_ns() // 1000))
