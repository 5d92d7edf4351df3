"""The environment that commands read: a file `.env` counts as it, and settings that do not exist are told."""

import os

import click
from dotenv import load_dotenv

from gateway.settings import Settings
from personas.errors import did_you_mean


def read_environment() -> None:
    """Take in `.env`, for provider keys too; what is set outside of it wins.

    A setting that does not exist is a warning and no mistake: others name variables so, too, as Kubernetes does for a
    service called `gateway`.
    """
    try:
        load_dotenv(".env")
    except (OSError, ValueError):
        raise click.ClickException("the file .env cannot be read as UTF-8 text without NUL. Correct it.") from None
    known = {f"GATEWAY_{name.upper()}" for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.startswith("GATEWAY_") and name not in known:
            click.echo(f"warning: there is no setting {name}{did_you_mean(name, known)}", err=True)
