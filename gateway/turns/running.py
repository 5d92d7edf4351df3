"""The turns that run in this process: opening, stopping, keeping, draining, and finding those nobody runs any more."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from gateway.errors import Unavailable
from gateway.identity.principal import Principal
from gateway.settings import Settings
from gateway.turns.log import TurnLog
from gateway.turns.preparing import Plan, preparer
from gateway.turns.run import Control, run_turn
from gateway.turns.views import TurnStarted, started_view, turn_view
from personas.catalog import Catalog
from providers.registry import Registry
from storage.chats.chats import load_chat
from storage.conversations.policy import Action
from storage.database import Database
from storage.database.columns import new_id, now
from storage.errors import NotFound, StorageUnavailable, TurnRunning
from storage.turns.leases import PartialText, attend_turn, interrupt_abandoned, keep_partial_texts, request_stop
from storage.turns.opening import AskedTurn, OpenTurn, RepeatedTurn, TurnLimits, begin_turn
from storage.turns.rows import TurnRecord, TurnState, load_turn, running_turn

logger = logging.getLogger("gateway.turns")

KEEP_EVERY = 0.5
"""Seconds between two passes that store partial texts and renew leases, at the least."""

KEEP_SHARE = 0.1
"""The share of its time that a process spends on these passes, at the most: with many turns they are further apart,
but for no more than a third of a lease."""

LEASE = timedelta(seconds=15)
"""How long a turn is its process's own after the last pass; then it counts as abandoned."""

LOOK_EVERY = 5.0
"""Seconds between two looks for turns that other processes abandoned."""

OPENING_PATIENCE = 1.0
"""Seconds that the drain waits, at least, for turns that were asked for just before it."""

NOTES = 10
"""How often, in the time that a turn may stay unattended, another process notes that it is read there."""

UNREAD_LOOKS = 5
"""How often another process's turn is looked at without a reader, before it is followed no more."""

AFTER_A_CRASH = 2**31 - 1
"""The number of events of a turn whose process died: more than any reader can have seen."""


class RunningTurn(msgspec.Struct, kw_only=True, eq=False):
    """A turn that runs here, its log, and the task that owns it."""

    turn: OpenTurn[Plan]
    log: TurnLog
    task: "asyncio.Task[None] | None" = None
    control: Control = msgspec.field(default_factory=Control)
    kept: str = ""
    attended_at: datetime | None = None
    read_at: float = msgspec.field(default_factory=time.monotonic)

    def unread_for(self, attended_at: datetime | None) -> float:
        """Seconds since it was read last, here or, when `attended_at` has changed, through another process."""
        if self.log.readers or attended_at != self.attended_at:
            self.attended_at, self.read_at = attended_at, time.monotonic()
        return time.monotonic() - self.read_at


class RunningTurns:
    """The one owner of all turns of this process."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        catalog: Callable[[], Catalog],
        providers: Registry,
        on_end: Callable[[TurnRecord], None],
    ) -> None:
        self.node = new_id()
        self.draining = False
        self._settings = settings
        self._limits = TurnLimits(per_minute=settings.turns_per_minute, concurrent=settings.concurrent_turns)
        self._database = database
        self._catalog = catalog
        self._providers = providers
        self._on_end = on_end
        self._running: dict[UUID, RunningTurn] = {}
        self._opening: set[asyncio.Task[TurnLog]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._followers: set[asyncio.Task[None]] = set()

    async def start(self, *, alone: bool) -> None:
        """End the turns that a dead process left running (`alone`: all of them), and begin to keep those that come."""
        before = now() + timedelta(days=36500) if alone else now()
        abandoned = await self._database.write(interrupt_abandoned, before)
        if abandoned:
            logger.warning("interrupted turns of an earlier process", extra={"turns": len(abandoned)})
        self._keeper = asyncio.create_task(self._keep())

    async def begin(self, asked: AskedTurn, asker: Principal, request_id: str) -> TurnLog:
        """Open a turn and set it going, or attach to the one that the idempotency key stands for; its log."""
        if self.draining:
            raise Unavailable("The gateway is about to restart. Try again in a moment.", retry_after=5)
        opening = asyncio.create_task(self._open(asked, asker, request_id))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        return await asyncio.shield(opening)  # once it is stored, somebody has to run it

    async def attach(self, user_id: UUID, turn_id: UUID) -> TurnLog:
        """The log of a turn, live where it runs here, made from what is stored where not. Raises `NotFound`."""
        record = await self._database.read(load_turn, user_id, turn_id)
        running = self._running.get(turn_id)
        if running is not None:
            return running.log
        log = TurnLog(turn_id, record.chat_id)
        log.start(started_view(record))
        if record.state is TurnState.running:
            follower = asyncio.create_task(self._follow(user_id, turn_id, log))
            self._followers.add(follower)
            follower.add_done_callback(self._followers.discard)
        else:
            _replay(log, record)
        return log

    async def stop(self, user_id: UUID, turn_id: UUID) -> None:
        """Stop a turn, wherever it runs; one that has ended stays as it is. Takes a member of its chat.

        Raises `NotFound`, and `Forbidden` for a viewer.
        """
        turn = await self._database.read(load_turn, user_id, turn_id)
        await self._database.read(load_chat, user_id, turn.chat_id, Action.say)
        if not self._end(turn_id, TurnState.stopped) and turn.state is TurnState.running:
            await self._database.write(request_stop, turn_id)

    def count(self) -> int:
        """How many turns run in this process."""
        return len(self._running)

    async def drain(self, patience: float) -> None:
        """Take no new turns, give the running ones time to end, then interrupt them; their text is kept."""
        self.draining = True
        if self._opening:  # too late to refuse them
            await asyncio.wait(self._opening, timeout=max(patience, OPENING_PATIENCE))
        if self._running and patience > 0:
            logger.info("draining", extra={"turns": len(self._running), "patience_s": patience})
            await asyncio.wait(self._tasks(), timeout=patience)
        for turn_id in list(self._running):
            self._end(turn_id, TurnState.interrupted)
        if self._running:
            await asyncio.wait(self._tasks())
        for follower in self._followers:
            follower.cancel()

    async def close(self) -> None:
        """End everything that still runs."""
        await self.drain(0)
        if self._keeper is not None:
            self._keeper.cancel()
        await asyncio.gather(*self._followers, *([self._keeper] if self._keeper else []), return_exceptions=True)

    async def _open(self, asked: AskedTurn, asker: Principal, request_id: str) -> TurnLog:
        try:
            opened = await self._database.write(
                begin_turn,
                asked,
                preparer(self._catalog(), self._providers, asker),
                limits=self._limits,
                node=self.node,
                lease=LEASE,
            )
        except TurnRunning as error:
            if error.turn_id is None:  # two at once: the constraint refused the second without naming the first
                raise TurnRunning(await self._database.read(running_turn, asked.chat_id)) from None
            raise
        if isinstance(opened, RepeatedTurn):
            return await self.attach(asked.user_id, opened.id)
        return self._set_going(opened, request_id)

    def _set_going(self, opened: OpenTurn[Plan], request_id: str) -> TurnLog:
        log = TurnLog(opened.id, opened.chat_id)
        log.start(
            TurnStarted(
                turn_id=opened.id,
                chat_id=opened.chat_id,
                user_message_id=opened.user_message_id,
                reply_message_id=opened.reply_message_id,
                persona=opened.opening.persona,
                model=opened.prepared.model,
            )
        )
        running = RunningTurn(turn=opened, log=log)
        self._running[opened.id] = running
        running.task = asyncio.create_task(self._run(running, request_id))
        return log

    async def _run(self, running: RunningTurn, request_id: str) -> None:
        record = None
        try:
            record = await run_turn(
                running.turn, running.log, self._database, request_id=request_id, control=running.control
            )
        except Exception:  # its lease runs out, and then it is interrupted
            logger.exception("a turn could not be ended", extra={"turn_id": str(running.turn.id)})
        finally:
            del self._running[running.turn.id]
            running.log.close()
        if record is not None:
            self._on_end(record)

    def _tasks(self) -> "set[asyncio.Task[None]]":
        return {running.task for running in self._running.values() if running.task is not None}

    def _end(self, turn_id: UUID, state: TurnState) -> bool:
        """End a turn that runs here, in this state; False when none does."""
        running = self._running.get(turn_id)
        if running is not None:
            running.control.end(state)
        return running is not None

    async def _keep(self) -> None:
        """Store partial texts, renew leases, stop what is to stop, and end what other processes abandoned."""
        looked = time.monotonic()
        pause = KEEP_EVERY
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            try:
                if self._running:
                    await self._keep_once()
                if time.monotonic() - looked > LOOK_EVERY:
                    looked = time.monotonic()
                    await self._database.write(interrupt_abandoned, now())
            except StorageUnavailable as error:
                logger.warning("partial texts were not stored", extra={"reason": str(error.__cause__)[:200]})
            except Exception:  # a keeper that dies would let every lease run out
                logger.exception("partial texts were not stored")
            spent = time.monotonic() - began
            pause = max(KEEP_EVERY, min(spent / KEEP_SHARE, LEASE.total_seconds() / 3))

    async def _keep_once(self) -> None:
        texts = []
        for turn_id, running in self._running.items():
            if (text := running.log.text) != running.kept:
                texts.append(PartialText(turn_id, running.turn.reply_message_id, text, running.log.newest + 1))
        asked = dict(self._running)
        ours = await self._database.write_long(keep_partial_texts, self.node, list(asked), texts, lease=LEASE)
        for partial in texts:
            asked[partial.turn_id].kept = partial.content
        for turn_id, running in asked.items():
            kept = ours.get(turn_id)
            if kept is None:  # its lease ran out, or its chat is gone: it would be asked for nobody
                self._end(turn_id, TurnState.interrupted)
            elif kept.stop_requested or running.unread_for(kept.attended_at) > self._settings.max_unattended:
                self._end(turn_id, TurnState.stopped)

    async def _follow(self, user_id: UUID, turn_id: UUID, log: TurnLog) -> None:
        """Tell a log what another process stores of its turn, until that ends."""
        unread = 0
        noted = -math.inf
        refusal = None
        try:
            while unread < UNREAD_LOOKS:
                record = await self._database.read(load_turn, user_id, turn_id)
                if record.state is not TurnState.running:
                    _replay(log, record)
                    return
                if record.events is not None and record.events > log.newest + 1:
                    # Numbered as the process that runs the turn numbers it, so that a reader may go on there.
                    log.add_snapshot(record.content, seq=record.events - 1)
                if log.readers and time.monotonic() - noted > self._settings.max_unattended / NOTES:
                    noted = time.monotonic()
                    await self._database.write(attend_turn, turn_id)
                await asyncio.sleep(KEEP_EVERY)
                unread = 0 if log.readers else unread + 1
        except NotFound as error:
            refusal = error
        except StorageUnavailable:
            pass
        finally:
            log.close(refusal)


def _replay(log: TurnLog, record: TurnRecord) -> None:
    """Tell what is stored of an ended turn: everything so far, and the terminal event with the number it had."""
    crashed = record.events is None
    terminal = (record.events or AFTER_A_CRASH) - 1
    if crashed or record.content != log.text:  # after a crash readers may have been told more than was kept, or less
        terminal = max(terminal, log.newest + 2)
        log.add_snapshot(record.content, seq=terminal - 1)
    log.end(turn_view(record), seq=max(terminal, log.newest + 1))
