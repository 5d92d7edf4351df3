"""Clients that read streams and take the time: reads a `Job` from standard input, prints a `Result`.

A process of its own, so that what it costs is nobody else's. It also takes the processor time of the process that it
asks, at the very moments between which it counts.
"""

import asyncio
import re
import socket
import sys
import time
from array import array

import msgspec
import uvloop
from proc import cpu_seconds, resident_bytes

_WORD = b"maple "
_TERMINAL = re.compile(rb"event: turn\.(?:completed|stopped|failed)")
_COMPLETED = b'"state":"completed"'
_END = b"0\r\n\r\n"


class Ask(msgspec.Struct):
    """The request of one client."""

    path: str
    headers: dict[str, str]
    body: str


class Window(msgspec.Struct):
    """Count for `seconds`, beginning `settle` seconds after the last client asked; who was not answered is missed."""

    settle: float
    seconds: float


class Job(msgspec.Struct):
    """What to do: each of the clients asks `turns` times, one after another, for an answer of `words` words.

    `pids` are measured together. `completes` says that a terminal event has to tell that all went well. `ramp` seconds
    pass between the beginnings of the first and the last client.
    """

    port: int
    asks: list[Ask]
    words: int
    pids: list[int]
    turns: int = 1
    completes: bool = False
    ramp: float = 0.0
    window: Window | None = None
    patience: float = 60.0


class Result(msgspec.Struct):
    """What was counted: in the window where there is one, over the whole job else. Times are in milliseconds."""

    turns: int
    errors: int
    words: int
    seconds: float
    cpu_seconds: float
    resident_bytes: int
    first_ms: list[float]
    gap_p50_ms: float | None
    gap_p99_ms: float | None


class Tally:
    """What all clients of a job count together."""

    def __init__(self) -> None:
        self.turns = 0
        self.errors = 0
        self.words = 0
        self.first: list[float] = []
        self.gaps = array("d")
        self.takes_gaps = False
        self._complaints = 0

    def complain(self, answer: bytes) -> None:
        """Show some of the answers that were not as they should be."""
        self._complaints += 1
        if self._complaints <= 5:
            print(answer[:2000].decode("utf-8", "replace"), file=sys.stderr)


class Client(asyncio.Protocol):
    """One connection, on which one request follows another."""

    def __init__(self, ask: Ask, job: Job, tally: Tally) -> None:
        body = ask.body.encode()
        lines = [f"POST {ask.path} HTTP/1.1", f"host: 127.0.0.1:{job.port}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in ask.headers.items()]
        self._request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        self._job = job
        self._tally = tally
        self._left = job.turns
        self._is_refused = False
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = transport
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        """It is over; too early if answers are owed."""
        if self._left:
            self._tally.errors += 1
        if not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Count the words, until the terminal event tells them all once more."""
        moment = time.perf_counter()
        if self._is_new:
            self._is_new = False
            self._is_refused = data[9:12] != b"200"
        if self._is_refused:
            self._tally.complain(data)
            if b"{" in data:
                self._transport.close()
            return
        text = data
        if self._terminal:
            text = b""
            self._terminal += data
        elif self._job.completes and (found := _TERMINAL.search(data)):
            text, self._terminal = data[: found.start()], data[found.start() :]
        words = text.count(_WORD)
        if words:
            self._words += words
            self._tally.words += words
            if self._last is None:
                self._tally.first.append((moment - self._asked) * 1000)
            elif self._tally.takes_gaps:
                self._tally.gaps.append((moment - self._last) * 1000)
            self._last = moment
        if data.endswith(_END) or (self._tail + data[-5:]).endswith(_END):
            self._finish()
        else:
            self._tail = data[-4:]

    def _ask(self) -> None:
        self._is_new = True
        self._terminal = self._tail = b""
        self._words = 0
        self._last: float | None = None
        self._asked = time.perf_counter()
        self._transport.write(self._request)

    def _finish(self) -> None:
        is_whole = self._words == self._job.words and (not self._job.completes or _COMPLETED in self._terminal)
        if is_whole:
            self._tally.turns += 1
        else:
            self._tally.errors += 1
            self._tally.complain(b"%d words: %b" % (self._words, self._terminal))
        self._left -= 1
        if self._left:
            self._ask()
        else:
            self._transport.close()


async def run(job: Job) -> Result:
    """Do the job."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    spent, began = cpu_seconds(job.pids), time.perf_counter()
    clients = []
    for place, ask in enumerate(job.asks):
        _, client = await loop.create_connection(lambda ask=ask: Client(ask, job, tally), "127.0.0.1", job.port)
        clients.append(client)
        behind = began + job.ramp * (place + 1) / len(job.asks) - time.perf_counter()
        if behind > 0:
            await asyncio.sleep(behind)
    everybody = asyncio.gather(*[client.ended for client in clients])
    if job.window is None:
        await asyncio.wait_for(everybody, job.patience)
        seconds, words = time.perf_counter() - began, tally.words
        await asyncio.sleep(0.05)  # what a server does behind an answer belongs to it
        cost, resident = cpu_seconds(job.pids) - spent, resident_bytes(job.pids[0])
    else:
        await asyncio.sleep(job.window.settle)
        spent, began, words = cpu_seconds(job.pids), time.perf_counter(), tally.words
        tally.takes_gaps = True
        await asyncio.sleep(job.window.seconds)
        tally.takes_gaps = False
        seconds, words = time.perf_counter() - began, tally.words - words
        cost, resident = cpu_seconds(job.pids) - spent, resident_bytes(job.pids[0])
        await asyncio.wait_for(everybody, job.patience)
    gaps = sorted(tally.gaps)
    return Result(
        turns=tally.turns,
        errors=tally.errors,
        words=words,
        seconds=seconds,
        cpu_seconds=cost,
        resident_bytes=resident,
        first_ms=tally.first,
        gap_p50_ms=gaps[len(gaps) // 2] if gaps else None,
        gap_p99_ms=gaps[len(gaps) * 99 // 100] if gaps else None,
    )


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(asked))))
