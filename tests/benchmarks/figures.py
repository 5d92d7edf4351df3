"""What was measured, pooled over the rounds and set beside what it is compared with."""

from collections.abc import Sequence
from statistics import median

import msgspec
from load import Result


class Row(msgspec.Struct):
    """One line of the table: a figure, its ratio to the yardstick's, and the aim."""

    measured: str
    server: str
    value: float
    unit: str
    ratio: float | None = None
    to: str | None = None
    aim: str | None = None
    meets: bool | None = None


class Rounds:
    """The results of one server, a round each."""

    def __init__(self) -> None:
        self.results: list[Result] = []

    def add(self, result: Result) -> None:
        """Another round."""
        self.results.append(result)

    def cpu_ms_per_turn(self) -> float:
        """Processor time of a turn."""
        return median([result.cpu_seconds * 1000 / result.turns for result in self.results])

    def total_cpu_ms_per_turn(self) -> float:
        """Processor time of a turn over all rounds together: the clock is too coarse for one short round."""
        return sum(one.cpu_seconds for one in self.results) * 1000 / sum(one.turns for one in self.results)

    def turns_per_second(self) -> float:
        """Turns that ended in a second."""
        return median([result.turns / result.seconds for result in self.results])

    def cpu_ms_per_1000_words(self) -> float:
        """Processor time of a thousand chunks."""
        return median([result.cpu_seconds * 1e6 / result.words for result in self.results])

    def words_per_second(self) -> float:
        """Chunks that arrived in a second."""
        return median([result.words / result.seconds for result in self.results])

    def cores(self) -> float:
        """Processor time of a second: 1 is one core."""
        return median([result.cpu_seconds / result.seconds for result in self.results])

    def first_ms(self, share: float) -> float:
        """The time to the first word that this share of all turns kept."""
        everything = sorted(time for result in self.results for time in result.first_ms)
        return everything[min(int(len(everything) * share), len(everything) - 1)]

    def gap_p99_ms(self) -> float:
        """The pause between two reads that 99 % of them kept."""
        return median([result.gap_p99_ms or 0.0 for result in self.results])

    def resident_mib(self) -> float:
        """The memory at the end."""
        return median([result.resident_bytes / 2**20 for result in self.results])


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    lines = [["measured", "server", "figure", "unit", "ratio", "aim", ""]]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f} x {row.to}"
        verdict = "" if row.meets is None else "met" if row.meets else "MISSED"
        lines.append([row.measured, row.server, _short(row.value), row.unit, ratio, row.aim or "", verdict])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    told = []
    for line in lines:
        cells = [
            cell.rjust(width) if place == 2 else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        told.append("  ".join(cells).rstrip())
    return "\n".join([told[0], "-" * len(told[0]), *told[1:]])


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
