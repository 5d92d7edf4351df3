"""What commands open before they do anything: the settings, the personas file, the database."""

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import click
from pydantic import ValidationError

from gateway.cli.environment import read_environment
from gateway.errors import GatewayError
from gateway.settings import Settings, make_private
from personas.catalog import Catalog, load_catalog
from personas.errors import PersonaFileError
from storage.database import Database, open_database, parse_address, upgrade_schema
from storage.errors import StorageError

T = TypeVar("T")


def load_settings() -> Settings:
    """The settings; what is wrong with them is told as click tells errors, without the values."""
    read_environment()
    try:
        return Settings()
    except ValidationError as error:
        lines = [f"GATEWAY_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors()]
        raise click.ClickException("the settings cannot be used.\n" + "\n".join(lines)) from None


def personas_file(settings: Settings) -> Path:
    """The operator's file; the one that ships with the gateway where there is none and none was named."""
    shipped = Path(str(files("personas").joinpath("default_personas.yaml")))
    if "personas" not in settings.model_fields_set and not settings.personas.exists() and shipped.exists():
        click.echo(f"No personas.yaml here, so the one that ships with the gateway is used: {shipped}", err=True)
        return shipped
    return settings.personas


def load_personas(settings: Settings) -> Catalog:
    """The catalog of the personas file; its mistakes are told as click tells errors."""
    try:
        return load_catalog(personas_file(settings))
    except PersonaFileError as error:
        raise click.ClickException(f"the personas cannot be used.\n{error}") from None


def run_on_database(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """What the work gives on the database of the settings; what it refuses is a sentence and exit code 1."""

    async def on_database() -> T:
        address = settings.database_address
        url = parse_address(address)
        if url.get_backend_name() == "sqlite":
            make_private(Path(str(url.database)).parent)
        await upgrade_schema(address)
        database = await open_database(address)
        try:
            return await work(database)
        finally:
            await database.close()

    try:
        return asyncio.run(on_database())
    except (GatewayError, StorageError) as error:
        raise click.ClickException(error.message) from None
    except ValueError as error:
        raise click.ClickException(str(error)) from None
