"""The set-up flag: whether the first admin was made, and by whom it may be. Changes of admins pass here in a row."""

from sqlalchemy import CheckConstraint, Column, Connection, LargeBinary, select, update
from sqlmodel import Field, col

from storage.database.columns import Table


class Setup(Table, table=True):
    """One row: whether the first admin was made, and the hash of the one-time code that makes one."""

    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: int = Field(primary_key=True)
    admin_made: bool
    code_hash: bytes | None = Field(sa_column=Column(LargeBinary, nullable=True))


_CONSUME = (
    update(Setup)
    .where(col(Setup.id) == 1, col(Setup.admin_made).is_(False))
    .values(admin_made=True, code_hash=None)
    .returning(col(Setup.id))
)
_LOCK = update(Setup).where(col(Setup.id) == 1).values(id=1)


def admin_is_made(connection: Connection) -> bool:
    """Whether the set-up flag is consumed."""
    return bool(connection.execute(select(col(Setup.admin_made))).scalar_one())


def set_setup_code(connection: Connection, code_hash: bytes) -> bool:
    """Store the one-time code that makes the first admin; False when there is an admin already."""
    unset = update(Setup).where(col(Setup.admin_made).is_(False)).values(code_hash=code_hash)
    return connection.execute(unset).rowcount == 1


def consume_setup(connection: Connection, *, code_hash: bytes | None = None) -> bool:
    """Take the flag, once, and only with this code if one is given; whoever takes it makes the first admin."""
    statement = _CONSUME if code_hash is None else _CONSUME.where(col(Setup.code_hash) == code_hash)
    return connection.execute(statement).first() is not None


def lock_admins(connection: Connection) -> None:
    """Let one change of admins at a time pass: the row lock is what stops two from demoting each other."""
    connection.execute(_LOCK)
