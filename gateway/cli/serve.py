"""`gateway serve`: from the environment to a running server, and to its orderly end."""

import asyncio
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

import click
import uvicorn
import uvloop

from gateway.accounts.first_admin import Bind, announce_setup_code
from gateway.app import create_app
from gateway.cli.memory import settle_memory
from gateway.cli.opening import load_settings, personas_file
from gateway.http.bounded_connection import BoundedConnection
from gateway.operations.observability import configure_logging
from gateway.services import AlreadyServed, Services, open_services
from gateway.settings import Settings, is_loopback, is_private
from gateway.turns.running import RunningTurns
from personas.errors import PersonaFileError
from personas.reload import LiveCatalog
from providers.provider import Readiness
from providers.registry import Registry
from storage.database import parse_address
from storage.errors import StorageError

DRAIN_MARGIN = 2.0
"""Seconds after the drain in which open responses may still be written to their end."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="The port to listen on.")
def serve(host: str, port: int) -> None:
    """Serve the gateway and its page."""
    settings = load_settings()
    configure_logging(settings.log_level)
    path = personas_file(settings)
    try:
        live = LiveCatalog(path)
    except PersonaFileError as error:
        raise click.ClickException(f"the personas cannot be used.\n{error}") from None
    providers = Registry(live.current.providers, weights=settings.local_model)
    bind = Bind(host, is_loopback(host))
    try:
        with _listen(host, port) as listener:
            uvloop.run(_serve(settings, bind, listener, live, providers))
    except (StorageError, AlreadyServed, ValueError) as error:
        raise click.ClickException(str(error)) from None


def _listen(host: str, port: int) -> socket.socket:
    """The socket to serve on, before anything else is opened: a port that is taken stops the start at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol or socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, UnicodeError) as error:  # a host such as 'a..b' is no name at all
        why = error.strerror if isinstance(error, OSError) else "that is no host name"
        raise click.ClickException(
            f"cannot listen on {host}:{port}: {why}. Choose --host and --port, or with make, HOST= and PORT=: "
            "`make run PORT=8001`."
        ) from None
    return listener


class _Server(uvicorn.Server):
    """Begins to drain the turns when it is asked to stop: their streams end by themselves, with a terminal event."""

    def __init__(self, config: uvicorn.Config, turns: RunningTurns, patience: float) -> None:
        super().__init__(config)
        self._turns = turns
        self._patience = patience
        self._draining: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by the signal; a second Ctrl-C does not wait any more.

        uvicorn's own handler would raise the signal again once its sockets are closed, and so end the process before
        the database and what else was opened is closed.
        """
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True
        self._loop.call_soon_threadsafe(self._drain, 0 if self.force_exit else self._patience)

    def _drain(self, patience: float) -> None:
        if patience and (running := self._turns.count()):
            click.echo(f"Waiting up to {patience:g} s for {running} running replies. Ctrl-C again stops at once.")
        self._draining = asyncio.create_task(self._turns.drain(patience))


async def _serve(
    settings: Settings, bind: Bind, listener: socket.socket, live: LiveCatalog, providers: Registry
) -> None:
    async with open_services(settings, bind, live, providers) as services:
        config = uvicorn.Config(
            create_app(services),
            http=BoundedConnection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=4096,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            timeout_graceful_shutdown=int(settings.drain_seconds + DRAIN_MARGIN),
        )
        await _announce(services, bind, listener.getsockname()[1])
        settle_memory()
        await _Server(config, services.turns, settings.drain_seconds).serve(sockets=[listener])


async def _announce(services: Services, bind: Bind, port: int) -> None:
    """Tell the operator where the page is, who answers, and what to do next."""
    catalog = services.catalog.current
    host = "127.0.0.1" if bind.host in ("0.0.0.0", "::") else bind.host  # noqa: S104
    click.echo(f"The gateway is at http://{host}:{port}/ (API at /docs, Ctrl-C stops it).")
    if not bind.loopback:
        signup = "open" if services.settings.signup == "open" else "closed"
        click.echo(f"It is reached from elsewhere: sign-up is {signup} (GATEWAY_SIGNUP), and only these host names are")
        click.echo(f"answered (GATEWAY_ALLOWED_HOSTS): {', '.join(services.settings.allowed_hosts)}.")
    click.echo(f"Personas from {services.catalog.live.path}: {', '.join(p.name for p in catalog.personas.values())}.")
    for problem in catalog.warnings:
        click.echo(f"warning: {problem}")
    for folder in _folders(services.settings):
        if not is_private(folder):
            click.echo(f"warning: others can look into {folder}, where chats and the master key are kept.")
            click.echo(f"  Take that away: chmod 700 {folder}")
    without_key = []
    for name in catalog.providers:
        availability = services.providers.availability(name)
        if availability.readiness is Readiness.no_key:
            without_key.append(availability.sentence)
        elif availability.sentence:
            click.echo(availability.sentence)
    if without_key:
        click.echo("Without a provider key, the stand-in of each persona answers. To change that:")
        for sentence in without_key:
            click.echo(f"  {sentence}")
    code = await announce_setup_code(services.database, bind)
    if code is not None:
        click.echo(f"Nobody administers this gateway yet. Sign up with this one-time set-up code: {code}")
    sys.stdout.flush()


def _folders(settings: Settings) -> list[Path]:
    """The folders that hold what is secret, those that are there."""
    url = parse_address(settings.database_address)
    in_use = {settings.data_dir, *([Path(str(url.database)).parent] if url.get_backend_name() == "sqlite" else [])}
    return sorted(folder for folder in in_use if folder.exists())
