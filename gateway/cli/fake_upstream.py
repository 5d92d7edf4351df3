"""`gateway fake-upstream`: a model provider for trying things out, on both wires, without a key."""

import time
from pathlib import Path

import click
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from providers.scripted.faults import FAULTS
from providers.scripted.script import Script, script_from
from providers.scripted.server import ScriptedUpstream


@click.command("fake-upstream")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=9100, show_default=True, help="The port to listen on; 0 takes a free one.")
@click.option(
    "--script",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A YAML list of scripts, played in order and then over again.",
)
def command(host: str, port: int, path: Path | None) -> None:
    """Serve scripted replies on /v1/chat/completions and /v1/messages.

    Without --script every request gets a reply that quotes its last message, and a model named
    fake-CHUNKS-TTFT-GAP (milliseconds) shapes its own. Each item of a script is a text, or fields such as
    {reply: "Hi", gap: 0.1}, or {fault: NAME} with any of the faults listed in docs/testing.md.
    """
    upstream = ScriptedUpstream(host, port, repeat=True)
    upstream.enqueue(*(read_scripts(path) if path else ()))
    try:
        upstream.start()
    except OSError as error:
        raise click.ClickException(f"Cannot listen on {host}:{port}: {error.strerror}.") from None
    click.echo(f"OpenAI wire:    {upstream.base_url}")
    click.echo(f"Anthropic wire: {upstream.url}")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        upstream.stop()


def read_scripts(path: Path) -> list[Script]:
    """The scripts of a YAML file; what is wrong with it is told as click tells errors."""
    try:
        items = YAML(typ="safe", pure=True).load(path)
        if not isinstance(items, list):
            raise ValueError("A script file holds a list.")
        return [script_from(item, FAULTS) for item in items]
    except (YAMLError, ValueError) as error:
        raise click.ClickException(f"{path}: {error}") from None
