"""The scripted upstream: an HTTP/1.1 server on loopback that plays scripts on both wires.

It writes to its socket itself, since no framework splits a body inside a character or resets a connection at byte n.
It runs in a thread with a loop of its own, so that tests with and without a loop can use it, and a stalled test does
not stall it.
"""

import asyncio
import socket
import threading
from collections import deque
from types import TracebackType

from providers.scripted.connection import Connection, ReceivedRequest
from providers.scripted.script import Script

KEPT_REQUESTS = 2_000
"""How many requests are remembered, so that a benchmark does not fill the memory."""


class ScriptedUpstream:
    """A model provider that says what it is told.

        with ScriptedUpstream() as upstream:
            upstream.enqueue("Hello there", FAULTS["rate-limited"])

    Scripts are played in order, one a request; without any, `default` answers, and without that a friendly reply that
    quotes the last message. A model named `fake-<chunks>-<ttft ms>-<gap ms>` shapes its own answer.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, repeat: bool = False) -> None:
        self.default: Script | None = None
        self.requests: deque[ReceivedRequest] = deque(maxlen=KEPT_REQUESTS)
        self.repeat = repeat
        """Whether a script that was played goes back to the end of the queue."""
        self._address = (host, port)
        self._scripts: deque[Script] = deque()
        self._connections: set[Connection] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The server's origin: the base URL of the Anthropic wire."""
        host, port = self._address
        return f"http://{host}:{port}"

    @property
    def base_url(self) -> str:
        """The base URL of the OpenAI wire."""
        return f"{self.url}/v1"

    @property
    def open_connections(self) -> int:
        """How many clients are connected, idle ones too."""
        return len(self._connections)

    @property
    def running(self) -> int:
        """How many responses are being sent."""
        return sum(connection.busy for connection in tuple(self._connections))

    def enqueue(self, *scripts: Script | str) -> None:
        """Play these next; a text is a well-formed reply."""
        self._scripts.extend(Script(reply=script) if isinstance(script, str) else script for script in scripts)

    def start(self) -> None:
        """Listen; returns when the address is known. Raises `OSError` when the port is taken."""
        # The protocol is named, or asyncio would not turn Nagle's algorithm off: 40 ms an event.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(self._address)
        except OSError:
            listener.close()
            raise
        self._address = listener.getsockname()[:2]
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        playing = (self._loop, listener, ready)
        self._thread = threading.Thread(target=self._run, args=playing, name="scripted-upstream", daemon=True)
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """Close every connection and end the thread."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop = self._thread = None

    def __enter__(self) -> "ScriptedUpstream":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def next_script(self) -> Script | None:
        """What to play to the next request for a reply; None: whatever fits it."""
        if not self._scripts:
            return self.default
        script = self._scripts.popleft()
        if self.repeat:
            self._scripts.append(script)
        return script

    def _run(self, loop: asyncio.AbstractEventLoop, listener: socket.socket, ready: threading.Event) -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(
            loop.create_server(
                lambda: Connection(self.next_script, self.requests.append, self._connections),
                sock=listener,
                backlog=2048,
            )
        )
        loop.call_soon(ready.set)
        try:
            loop.run_forever()
        finally:
            server.close()
            for connection in tuple(self._connections):
                connection.abort()
            loop.run_until_complete(server.wait_closed())
            loop.run_until_complete(_let_go())
            loop.close()


async def _let_go() -> None:
    """Wait for what closing connections cancelled, so that nothing of theirs outlives the loop."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)
    await asyncio.sleep(0)
