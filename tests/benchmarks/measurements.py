"""The measurements. Each starts its servers anew and asks them in turn, so that all of them see the same weather."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import msgspec
from figures import Rounds, Row
from gateways import Chat, Gateway, gateway
from history import fill_chat
from load import Ask, Job, Result, Window
from postgresql import NotInstalled, cluster
from proc import resident_bytes
from processes import NotWhole, Server, load, python_server

BURST = "fake-64-0-0"
FIRST = "fake-4-30-5"
PACED = "fake-200-0-20"
"""Shapes of answers; see `upstream.py`."""

PER_SECOND = 20
STREAMS = 1_000


class Bench(msgspec.Struct):
    """What the measurements share: the servers, and how thorough they are."""

    upstream: Server
    relay: Server
    gateway: Gateway
    quick: bool

    def rounds(self, usual: int) -> range:
        """How often to measure."""
        return range(1 if self.quick else usual)


@contextmanager
def open_bench(quick: bool) -> Iterator[Bench]:
    """The servers, started."""
    with (
        python_server("upstream.py", {}) as upstream,
        _relay(upstream) as relay,
        gateway(upstream, [BURST, FIRST, PACED]) as house,
    ):
        yield Bench(upstream, relay, house, quick)


def burst(bench: Bench) -> list[Row]:
    """Turns of 64 chunks that arrive at once, 16 clients in 16 chats, against the relay."""
    clients = 16
    direct, relayed, ours = Rounds(), Rounds(), Rounds()
    chats = bench.gateway.open_chats(BURST, clients)
    _fill_windows(bench.gateway, chats)
    for _ in bench.rounds(5):
        direct.add(_direct(bench, BURST, clients, turns=200))
        relayed.add(_relayed(bench.relay, BURST, clients, turns=80))
        ours.add(_turns(bench.gateway, chats, BURST, turns=40))
    cpu, yardstick = ours.cpu_ms_per_turn(), relayed.cpu_ms_per_turn()
    rate = relayed.turns_per_second()
    name = "64 chunks in a burst, 16 clients"
    return [
        Row(name, "upstream itself", direct.turns_per_second(), "turns/s", direct.turns_per_second() / rate, "relay"),
        Row(name, "relay", rate, "turns/s"),
        Row(name, "gateway", ours.turns_per_second(), "turns/s", ours.turns_per_second() / rate, "relay"),
        Row(name, "relay", yardstick, "CPU ms/turn"),
        Row(name, "gateway", cpu, "CPU ms/turn", cpu / yardstick, "relay", "< 1 ms", cpu < 1),
        Row(name, "gateway / relay", cpu / yardstick, "x", aim="at most 2", meets=cpu <= 2 * yardstick),
    ]


def first(bench: Bench) -> list[Row]:
    """The time to the first word where nobody waits for a processor: 4 clients, a model that takes 30 ms."""
    clients, turns = 4, 25 if bench.quick else 50
    direct, relayed, ours = Rounds(), Rounds(), Rounds()
    chats = bench.gateway.open_chats(FIRST, clients)
    for _ in bench.rounds(4):
        direct.add(_direct(bench, FIRST, clients, turns=turns))
        relayed.add(_relayed(bench.relay, FIRST, clients, turns=turns))
        ours.add(_turns(bench.gateway, chats, FIRST, turns=turns))
    rows = []
    for share, label in ((0.5, "p50"), (0.99, "p99")):
        base, yardstick, own = (rounds.first_ms(share) for rounds in (direct, relayed, ours))
        name = f"time to the first word, {label}"
        rows += [
            Row(name, "upstream itself", base, "ms"),
            Row(name, "relay adds", yardstick - base, "ms"),
            Row(name, "gateway adds", own - base, "ms", (own - base) / max(yardstick - base, 0.01), "relay"),
        ]
    return rows


def paced(bench: Bench) -> list[Row]:
    """What passing on costs while 100 streams run, 50 chunks a second each; opening and closing are not counted."""
    clients, window = 100, Window(settle=0.5, seconds=2.5)
    relayed, ours = Rounds(), Rounds()
    for _ in bench.rounds(3):
        chats = bench.gateway.open_chats(PACED, clients)
        relayed.add(_relayed(bench.relay, PACED, clients, ramp=0.5, window=window))
        ours.add(_turns(bench.gateway, chats, PACED, ramp=0.5, window=window))
    cpu, yardstick = ours.cpu_ms_per_1000_words(), relayed.cpu_ms_per_1000_words()
    name = "paced chunks, 100 streams of 50/s"
    return [
        Row(name, "relay", yardstick, "CPU ms/1,000"),
        Row(name, "gateway", cpu, "CPU ms/1,000", cpu / yardstick, "relay", "at most 2 x", cpu <= 2 * yardstick),
    ]


def stores(bench: Bench) -> list[Row]:
    """Turns of 64 chunks as fast as they can be saved, 32 clients in 32 chats, on both databases."""
    clients, turns = 32, 10 if bench.quick else 20
    name = "saved turns, 32 clients"
    on_sqlite, on_postgresql, with_backends = Rounds(), Rounds(), Rounds()
    chats = bench.gateway.open_chats(BURST, clients)
    _fill_windows(bench.gateway, chats)
    try:
        with cluster() as postgresql, gateway(bench.upstream, [BURST], database=postgresql.new_database()) as other:
            theirs = other.open_chats(BURST, clients)
            _fill_windows(other, theirs)
            pids = [other.server.pid, postgresql.pid]
            for _ in bench.rounds(4):
                on_sqlite.add(_turns(bench.gateway, chats, BURST, turns=turns))
                on_postgresql.add(_turns(other, theirs, BURST, turns=turns))
                with_backends.add(_turns(other, theirs, BURST, turns=turns, pids=pids))
    except (NotInstalled, NotWhole) as error:
        print(f"PostgreSQL is left out: {error}.", flush=True)
        on_postgresql, with_backends = Rounds(), Rounds()
        if not on_sqlite.results:
            for _ in bench.rounds(4):
                on_sqlite.add(_turns(bench.gateway, chats, BURST, turns=turns))
    cpu, rate = on_sqlite.cpu_ms_per_turn(), on_sqlite.turns_per_second()
    rows = [
        Row(name, "gateway, SQLite", rate, "turns/s"),
        Row(name, "gateway, SQLite", cpu, "CPU ms/turn", aim="< 1 ms", meets=cpu < 1),
    ]
    if with_backends.results:
        speed, own = on_postgresql.turns_per_second(), on_postgresql.cpu_ms_per_turn()
        rows += [
            Row(name, "gateway, PostgreSQL", speed, "turns/s", speed / rate, "SQLite"),
            Row(name, "gateway, PostgreSQL", own, "CPU ms/turn", own / cpu, "SQLite"),
            Row(name, "with PostgreSQL's own", with_backends.cpu_ms_per_turn(), "CPU ms/turn"),
        ]
    return rows


def streams(bench: Bench) -> list[Row]:
    """1,000 streams of 20 chunks a second (a quick run: 250): what arrives, how evenly, and the memory of each."""
    count, ramp, window = STREAMS, 6.0, Window(settle=1.0, seconds=6.0)
    if bench.quick:
        count, ramp, window = STREAMS // 4, 1.0, Window(settle=0.5, seconds=2.5)
    shape = f"fake-{int((ramp + window.settle + window.seconds + 1) * PER_SECOND)}-0-{1000 // PER_SECOND}"
    direct, relayed, ours = Rounds(), Rounds(), Rounds()
    with _relay(bench.upstream) as relay, gateway(bench.upstream, [shape], people=count // 50) as house:
        idle = [resident_bytes(relay.pid) / 2**20, resident_bytes(house.server.pid) / 2**20]
        chats = house.open_chats(shape, count)
        direct.add(_direct(bench, shape, count, ramp=ramp, window=window))
        for _ in bench.rounds(2):
            relayed.add(_relayed(relay, shape, count, ramp=ramp, window=window))
            ours.add(_turns(house, chats, shape, ramp=ramp, window=window))
    name = f"{count:,} streams of {PER_SECOND}/s"
    offered = count * PER_SECOND
    share, gap, held = (ours.words_per_second() / offered, ours.gap_p99_ms(), ours.resident_mib())
    cores, yardstick = ours.cores(), relayed.cores()
    return [
        Row(name, "upstream itself", direct.words_per_second() / offered * 100, "% delivered"),
        Row(name, "relay", relayed.words_per_second() / offered * 100, "% delivered"),
        Row(name, "gateway", share * 100, "% delivered", aim="95 %", meets=share >= 0.95),
        Row(name, "upstream itself", direct.gap_p99_ms(), "ms gap p99"),
        Row(name, "relay", relayed.gap_p99_ms(), "ms gap p99"),
        Row(name, "gateway", gap, "ms gap p99", aim="< 75 ms", meets=gap < 75),
        Row(name, "relay", yardstick, "cores"),
        Row(name, "gateway", cores, "cores", cores / yardstick, "relay"),
        Row(name, "relay", relayed.resident_mib(), "MiB"),
        Row(name, "gateway", held, "MiB", held / relayed.resident_mib(), "relay", "< 200 MiB", held < 200),
        Row(name, "relay", (relayed.resident_mib() - idle[0]) * 1024 / count, "KiB/stream"),
        Row(name, "gateway", (held - idle[1]) * 1024 / count, "KiB/stream"),
    ]


def history(bench: Bench) -> list[Row]:
    """A turn in a chat of 1,000 stored messages and in one of 100,000 (a quick run: 10,000), one at a time."""
    turns, sizes = (80, (1_000, 10_000)) if bench.quick else (300, (1_000, 100_000))
    rounds = [Rounds(), Rounds()]
    chats = bench.gateway.open_chats(BURST, len(sizes))
    for chat, size in zip(chats, sizes, strict=True):
        fill_chat(bench.gateway.database, chat.id, chat.user_id, size)
    _fill_windows(bench.gateway, chats)
    for _ in range(2 if bench.quick else 4):
        for chat, measured in zip(chats, rounds, strict=True):
            measured.add(_turns(bench.gateway, [chat], BURST, turns=turns))
    short, long = (measured.total_cpu_ms_per_turn() for measured in rounds)
    name = "a turn in a long chat"
    return [
        Row(name, f"{sizes[0]:,} messages", short, "CPU ms/turn"),
        Row(
            name,
            f"{sizes[1]:,} messages",
            long,
            "CPU ms/turn",
            long / short,
            "1,000",
            "within 10 %",
            long < 1.1 * short,
        ),
    ]


MEASUREMENTS: dict[str, Callable[[Bench], list[Row]]] = {
    "burst": burst,
    "first": first,
    "paced": paced,
    "stores": stores,
    "streams": streams,
    "history": history,
}


def _relay(upstream: Server) -> AbstractContextManager[Server]:
    return python_server("relay.py", {"UPSTREAM": f"http://127.0.0.1:{upstream.port}/v1/chat/completions"})


def _direct(bench: Bench, shape: str, clients: int, **options: Any) -> Result:
    asks = [_plain("/v1/chat/completions", shape)] * clients
    return _measure(bench.upstream, asks, shape, **options)


def _relayed(relay: Server, shape: str, clients: int, **options: Any) -> Result:
    return _measure(relay, [_plain("/stream", shape)] * clients, shape, **options)


def _turns(house: Gateway, chats: Sequence[Chat], shape: str, **options: Any) -> Result:
    return _measure(house.server, [chat.ask() for chat in chats], shape, completes=True, **options)


def _measure(server: Server, asks: list[Ask], shape: str, *, pids: Sequence[int] = (), **options: Any) -> Result:
    words = int(shape.split("-")[1])
    return load(Job(port=server.port, asks=asks, words=words, pids=[*pids] or [server.pid], **options))


def _plain(path: str, shape: str) -> Ask:
    body = f'{{"model":"{shape}","stream":true,"messages":[{{"role":"user","content":"Hello"}}]}}'
    return Ask(path, {"content-type": "application/json"}, body)


def _fill_windows(house: Gateway, chats: Sequence[Chat]) -> None:
    """Talk until the persona's budget is full, so that each turn after it costs the same."""
    _turns(house, chats, BURST, turns=16)
