"""Those who hold an answer open and read it as it comes, as events or as one document in the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from gateway.errors import TooManyRequests
from gateway.identity.principal import Principal


class Reader:
    """One answer that is held open. Once it has `ended`, nothing more is told in it; `wake` makes it look."""

    def __init__(self) -> None:
        self.ended = False
        self.wake: Callable[[], None] | None = None

    def end(self) -> None:
        """Tell this reader nothing more."""
        self.ended = True
        if self.wake is not None:
            self.wake()


class Readers:
    """The readers of this process, `most` of each person at a time."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._open: dict[UUID, set[Reader]] = {}

    @contextmanager
    def open(self, principal: Principal) -> Iterator[Reader]:
        """A reader, for as long as they read. Raises `TooManyRequests` when the person has as many as they may."""
        theirs = self._open.setdefault(principal.user_id, set())
        if len(theirs) >= self._most:
            raise TooManyRequests(
                f"You have {self._most} answers open. Close one, or wait for a reply to end.", retry_after=1
            )
        reader = Reader()
        theirs.add(reader)
        try:
            yield reader
        finally:
            theirs.remove(reader)
            if not theirs:
                del self._open[principal.user_id]
