"""Processes that a benchmark starts, and ends by their id."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from load import Job, Result

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


class Server(msgspec.Struct, frozen=True):
    """A process that serves on a port of the loopback interface."""

    pid: int
    port: int


@contextmanager
def python_server(name: str, environment: Mapping[str, str]) -> Iterator[Server]:
    """A file of this folder that prints the port on which it serves."""
    with process([sys.executable, str(HERE / name)], environment, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        if not line:
            raise RuntimeError(f"{name} did not start")
        yield Server(running.pid, int(line))


@contextmanager
def process(
    command: list[str], environment: Mapping[str, str], *, patience: float = 15, **options: object
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is ended when its block is left: asked first, then made to."""
    running = subprocess.Popen(command, env=dict(environment), cwd=ROOT, **options)  # type: ignore[call-overload]
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(patience)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        if running.stdout is not None:
            running.stdout.close()


class NotWhole(Exception):
    """Answers were refused, cut short or failed, so their figures would mean nothing."""


def load(job: Job) -> Result:
    """Have the job done by a process of its own. Raises `NotWhole`."""
    command = [sys.executable, str(HERE / "load.py")]
    done = subprocess.run(
        command, input=msgspec.json.encode(job), stdout=subprocess.PIPE, timeout=job.patience * 2 + 30, check=True
    )
    result = msgspec.json.decode(done.stdout, type=Result)
    if result.errors:
        raise NotWhole(f"{result.errors} of {result.errors + result.turns} answers were not whole")
    return result
