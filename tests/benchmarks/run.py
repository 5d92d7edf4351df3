"""What the gateway costs, measured against a relay that does nothing but relay.

    python tests/benchmarks/run.py [--quick] [NAME ...]

prints a table and, as the last line, the same as JSON. What each figure means stands in `docs/performance.md`.
"""

import argparse
import json
import os
import resource
import sys
import time

import msgspec
from figures import Row, table
from measurements import MEASUREMENTS, open_bench

FILES = 8_192
"""Open files that 1,000 streams, each with a connection on both sides, leave room in."""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Measure the gateway against a relay of the same upstream.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--quick", action="store_true", help="one round of each, in less than a minute")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.names) - set(MEASUREMENTS)):
        parser.error(f"there is no measurement named {', '.join(unknown)}")
    if not sys.platform.startswith("linux"):
        parser.error("the processor time of other processes is read from /proc, which only Linux has")
    _allow_files()
    began = time.monotonic()
    rows: list[Row] = []
    try:
        with open_bench(asked.quick) as bench:
            for name, measure in MEASUREMENTS.items():
                if not asked.names or name in asked.names:
                    print(f"{name}: {(measure.__doc__ or '').splitlines()[0]}", flush=True)
                    rows += measure(bench)
    finally:  # what was measured before something failed is told too
        _report(rows, began, asked.quick)


def _report(rows: list[Row], began: float, quick: bool) -> None:
    seconds = time.monotonic() - began
    print(f"\n{table(rows)}\n\n{os.cpu_count()} cores, {seconds:.0f} s")
    print(json.dumps({"cores": os.cpu_count(), "quick": quick, "rows": msgspec.to_builtins(rows)}))


def _allow_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))


if __name__ == "__main__":
    main()
