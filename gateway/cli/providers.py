"""`gateway providers`: ask the providers themselves, outside of any chat."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

import click
import msgspec

from gateway.cli.opening import load_personas, load_settings, run_on_database
from gateway.keys.provider_keys import environment_keys
from gateway.keys.sealed_keys import open_keys, open_vault
from providers import sdk  # imports no SDK before it is asked something
from providers.errors import ProviderError
from providers.local.model import packaged_weights
from providers.models import ProviderKind, ProviderSpec
from providers.tokens import count_tokens
from providers.upstream.keys import ProviderKey
from storage.database import Database
from storage.keys.provider_keys import list_provider_keys


class Declared(msgspec.Struct, frozen=True):
    """What these commands work on: the providers by name, and the keys of each."""

    specs: Mapping[str, ProviderSpec]
    keys: Mapping[str, Sequence[ProviderKey]]

    def spec(self, name: str) -> ProviderSpec:
        """The provider of that name; click tells it when there is none."""
        if name not in self.specs:
            known = ", ".join(sorted(self.specs)) or "none"
            raise click.ClickException(f"There is no provider {name!r}; declared are: {known}.")
        return self.specs[name]

    def keys_of(self, name: str) -> list[ProviderKey]:
        """The provider's keys, perhaps none."""
        return list(self.keys.get(name, ()))


def load(context: click.Context) -> Declared:
    """The providers and keys of this command: handed over as its `obj`, else those that a server would use."""
    return context.find_object(Declared) or _as_served()


def _as_served() -> Declared:
    settings = load_settings()
    specs = load_personas(settings).providers
    keys = environment_keys(specs)

    async def add_stored_keys(database: Database) -> None:
        stored = await database.read(list_provider_keys)
        opened, unusable = open_keys(open_vault(settings, stored), stored)
        for one, key in opened:
            keys.setdefault(one.provider, []).append(key)
        for one, why in unusable:
            click.echo(f"warning: the key {one.id} of {one.provider} cannot be used. {why}", err=True)

    run_on_database(settings, add_stored_keys)
    return Declared(specs, keys)


@click.group()
def providers() -> None:
    """Ask the providers: are the keys good, which models are there, how many tokens is a text."""


@providers.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.pass_context
def check(context: click.Context, names: tuple[str, ...]) -> None:
    """Tell whether each provider accepts its first key, NAMEs only or all; exits with 1 if one does not."""
    declared = load(context)
    failed = False
    for name in names or sorted(declared.specs):
        try:
            told = _told_of(declared.spec(name), declared.keys_of(name))
        except ProviderError as error:
            failed, told = True, error.message
        click.echo(f"{name}: {told}")
    context.exit(1 if failed else 0)


@providers.command()
@click.argument("name")
@click.pass_context
def models(context: click.Context, name: str) -> None:
    """List the models that the provider NAME offers."""
    declared = load(context)
    spec = declared.spec(name)
    if spec.kind in (ProviderKind.echo, ProviderKind.local):
        raise click.ClickException(f"{name!r} is of kind {spec.kind.value} and has no list of models.")
    try:
        for model in sdk.model_names(spec, declared.keys_of(name)):
            click.echo(model)
    except ProviderError as error:
        raise click.ClickException(error.message) from None


@providers.command()
@click.argument("name")
@click.argument("model")
@click.argument("text", type=click.File(encoding="utf-8"), default="-", metavar="[FILE]")
@click.pass_context
def count(context: click.Context, name: str, model: str, text: TextIO) -> None:
    """Count the tokens of FILE (or standard input) for MODEL: as the gateway does, and as the provider NAME does.

    Providers of kind openai and anthropic count; the others have no such question.
    """
    declared = load(context)
    spec = declared.spec(name)
    try:
        said = text.read()
    except UnicodeDecodeError:
        raise click.ClickException(f"{text.name} is not UTF-8.") from None
    click.echo(f"gateway (o200k_base): {count_tokens(said)}")
    try:
        theirs = sdk.count_tokens(spec, declared.keys_of(name), model, said)
    except ProviderError as error:
        raise click.ClickException(error.message) from None
    click.echo(f"{name} ({model}): {'does not count' if theirs is None else theirs}")


def _told_of(spec: ProviderSpec, keys: list[ProviderKey]) -> str:
    if spec.kind is ProviderKind.echo:
        return "needs no key."
    if spec.kind is ProviderKind.local:
        return f"needs no key; its packaged weights are {_weights(packaged_weights())}."
    offered = len(sdk.model_names(spec, keys))
    return f"{'accepts the key' if keys else 'answers'} and offers {offered} model{'' if offered == 1 else 's'}."


def _weights(path: Path | None) -> str:
    return "not installed" if path is None else path.name
