"""What the rest of the program knows of a database."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

P = ParamSpec("P")
T = TypeVar("T")


class Database(ABC):
    """Runs units: plain synchronous functions whose first argument is a `Connection`.

        chat = await database.write(create_chat, owner_id, persona="mia")

    A unit is all or nothing and is never interrupted half-way when who awaits it is cancelled. It must be short,
    and ask nobody outside the database. What a unit raises comes out of the call; when the database itself
    fails, `StorageUnavailable` does, and nothing was changed.
    """

    @abstractmethod
    async def write(self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a unit that may change rows; returns after the commit."""

    @abstractmethod
    async def write_long(self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `write`, for a unit whose work grows with what is stored: it may hold up writers, but not the loop."""

    @abstractmethod
    async def read(self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a unit that only reads, on one consistent snapshot."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what is queued and close every connection."""
