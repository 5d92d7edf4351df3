"""Those who hold an answer open and read it as it comes, as events or as one document in the end.

A request is let in once, and its answer may be read for minutes. So what let it in is asked again, of all readers
together every `LOOK_EVERY` seconds, and of one person's at once when something of theirs ended in this process.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from uuid import UUID

from gateway.errors import TooManyRequests, Unauthenticated
from gateway.identity.principal import Principal
from storage.database import Database
from storage.errors import NotFound, StorageUnavailable
from storage.people.access import Access, lost_access

logger = logging.getLogger("gateway")

LOOK_EVERY = 2.0
"""Seconds after which a reader has noticed, at the latest, what was changed by another process, or has expired."""

MOST_AT_ONCE = 250
"""Readers that are asked for in one unit: about 5 ms, so that nobody waits for many of them."""


class Reader:
    """One answer that is held open: waits until it is `called`, then looks. Once `ended`, nothing more is told in it.

    `refusal` says why they may not read on: `Unauthenticated` or `NotFound`. None: they may, or hung up themselves.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self.ended = False
        self.refusal: Unauthenticated | NotFound | None = None
        self._call = asyncio.Event()

    async def called(self) -> None:
        """Wait until there may be something to tell, since the last time this returned."""
        await self._call.wait()
        self._call.clear()

    def wake(self) -> None:
        """Have the reader look."""
        self._call.set()

    def end(self, refusal: Unauthenticated | NotFound | None = None) -> None:
        """Tell this reader nothing more."""
        self.ended = True
        self.refusal = refusal
        self.wake()


class Readers:
    """The readers of this process, `most` of each person at a time. `idle` is how long a login may stay unused."""

    def __init__(self, database: Database, *, most: int, idle: timedelta) -> None:
        self._database = database
        self._most = most
        self._idle = idle
        self._open: dict[UUID, set[Reader]] = {}
        self._doubtful: set[UUID] = set()
        self._called = asyncio.Event()

    @contextmanager
    def open(self, principal: Principal, conversation_id: UUID | None) -> Iterator[Reader]:
        """A reader of a conversation (None: of whatever is theirs to see), for as long as they read.

        Raises `TooManyRequests` when the person has as many as they may.
        """
        theirs = self._open.setdefault(principal.user_id, set())
        if len(theirs) >= self._most:
            raise TooManyRequests(
                f"You have {self._most} answers open. Close one, or wait for a reply to end.", retry_after=1
            )
        access = Access(
            user_id=principal.user_id, credential_id=principal.credential_id, conversation_id=conversation_id
        )
        reader = Reader(access)
        theirs.add(reader)
        try:
            yield reader
        finally:
            theirs.remove(reader)
            if not theirs:
                del self._open[principal.user_id]

    def look_again(self, user_id: UUID) -> None:
        """Ask at once whether a person's readers still may: call it after each commit that takes access away."""
        if user_id in self._open:
            self._doubtful.add(user_id)
            self._called.set()

    async def watch(self, forget: Callable[[UUID], None]) -> None:
        """End the readers who may not read on, until cancelled. `forget` is told whose credential was found to have
        ended, so that it does not let them in again."""
        clock = asyncio.get_running_loop().time
        due = clock() + LOOK_EVERY
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._called.wait(), max(0, due - clock()))
            self._called.clear()
            people, self._doubtful = self._doubtful, set()
            if clock() >= due:
                people, due = set(self._open), clock() + LOOK_EVERY
            try:
                theirs = [reader for user_id in people for reader in self._open.get(user_id, ())]
                await self._look([reader for reader in theirs if not reader.ended], forget)
            except StorageUnavailable as error:  # a database that is down ends nobody's reading
                logger.warning("open answers were not looked at", extra={"reason": str(error.__cause__)[:200]})
            except Exception:  # a watch that dies would let everybody read on
                logger.exception("open answers were not looked at")

    async def _look(self, readers: Sequence[Reader], forget: Callable[[UUID], None]) -> None:
        for start in range(0, len(readers), MOST_AT_ONCE):
            some = readers[start : start + MOST_AT_ONCE]
            lost = await self._database.read(lost_access, [reader.access for reader in some], idle=self._idle)
            for reader in some:
                access = reader.access
                if access.credential_id in lost.credentials:
                    reader.end(Unauthenticated("This token has expired, or was revoked. Log in again."))
                    forget(access.user_id)
                elif (access.conversation_id, access.user_id) in lost.places:
                    reader.end(NotFound("You take no part in this conversation any more."))
