"""`gateway keys`: the provider keys in the database. A key goes in and never comes out.

A key is asked for or read from the standard input, never an argument: arguments stand in `ps` and in the shell's
history.
"""

import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from uuid import UUID

import click

from gateway.cli.opening import load_personas, load_settings, run_on_database
from gateway.keys.master_key import MasterKeyRefused, read_master_keys
from gateway.keys.sealed_keys import is_stored, open_keys, open_or_make_vault, open_vault, rewrap_key, seal_key
from personas.catalog import Catalog
from personas.errors import did_you_mean
from providers.models import ProviderKind
from providers.registry import base_url_of
from providers.upstream.keys import Secret, origin_of
from storage.database import Database
from storage.database.columns import new_id
from storage.errors import AlreadyTaken, WrongKey
from storage.keys import provider_keys as store
from storage.keys.provider_keys import Sealed, SealedKey
from storage.keys.vault import Vault

SHORTEST, LONGEST = 8, 4096
"""Characters of a key; what is shorter or longer is something else that was pasted."""

BATCH = 100
"""Keys that are rewrapped in one unit."""

SOON = "A running gateway sees it within 2 s."


class _Discreet(click.Command):
    """Does not repeat words that it has no use for, as click does: a key may be among them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError:
            raise click.UsageError(
                "That is not how to call this. The key itself is asked for, or read from the standard input; as an "
                "argument it stands in the shell's history, and should be revoked.",
                ctx,
            ) from None


@click.group()
def keys() -> None:
    """Add, list, replace, rewrap and remove provider keys."""


@keys.command(cls=_Discreet)
@click.argument("name")
def add(name: str) -> None:
    """Store one more key of the provider NAME. It is asked for, or read from the standard input."""
    settings = load_settings()
    origin = _origin(load_personas(settings), name)
    key = _ask_key()

    async def work(database: Database) -> UUID:
        stored = await database.read(store.list_provider_keys)
        vault = open_or_make_vault(settings, stored)
        _refuse_twin(vault, key, name, origin, stored)
        key_id = new_id()
        await database.write(store.add_provider_key, key_id, name, seal_key(vault, key_id, key, origin))
        return key_id

    key_id = run_on_database(settings, work)
    click.echo(f"{key_id} is a key of {name} now, and is sent to {origin} only. {SOON}")


@keys.command("list")
def list_keys() -> None:
    """List the keys: id, provider, origin, fingerprint, added, replaced, usable or why not. No character of any key."""
    settings = load_settings()
    catalog = load_personas(settings)
    stored = run_on_database(settings, lambda database: database.read(store.list_provider_keys))
    try:
        masters = read_master_keys(settings)
    except MasterKeyRefused as error:
        click.echo(f"warning: {error}", err=True)
        masters = None
    _, sealed = open_keys(Vault(masters) if masters else None, stored)
    whys = {key.id: why for key, why in sealed}
    if not stored:
        click.echo("No provider keys are stored. Those in the environment (`key_env`) are used as they are.", err=True)
        return
    click.echo("\t".join(("id", "provider", "origin", "fingerprint", "added", "replaced", "state")))
    for key in stored:
        replaced = f"{key.replaced_at:%Y-%m-%d}" if key.replaced_at else "-"
        state = whys.get(key.id) or _misplaced(catalog, key) or "usable"
        facts = (key.id, key.provider, key.origin, key.fingerprint, f"{key.created_at:%Y-%m-%d}", replaced, state)
        click.echo("\t".join(map(str, facts)))


@keys.command(cls=_Discreet)
@click.argument("key_id", metavar="ID", type=click.UUID)
def replace(key_id: UUID) -> None:
    """Put another key in the place of the key ID. It is asked for, or read from the standard input."""
    settings = load_settings()
    catalog = load_personas(settings)
    provider = run_on_database(settings, lambda database: database.read(store.load_provider_key, key_id)).provider
    origin = _origin(catalog, provider)
    key = _ask_key()

    async def work(database: Database) -> None:
        stored = await database.read(store.list_provider_keys)
        vault = open_or_make_vault(settings, stored)
        _refuse_twin(vault, key, provider, origin, stored)
        await database.write(store.replace_provider_key, key_id, seal_key(vault, key_id, key, origin))

    run_on_database(settings, work)
    click.echo(f"{key_id} is another key of {provider} now, and is sent to {origin} only. {SOON}")


@keys.command()
def rewrap() -> None:
    """Seal all keys under the first master key. It may be interrupted, and run again."""
    settings = load_settings()

    async def work(database: Database) -> tuple[int, int, list[tuple[SealedKey, str]]]:
        stored = await database.read(store.list_provider_keys)
        vault = open_vault(settings, stored)
        if vault is None:
            return 0, 0, []
        due = [key for key in stored if key.master != vault.primary]
        refused: list[tuple[SealedKey, str]] = []
        done = 0
        remaining = iter(due)
        while batch := list(islice(remaining, BATCH)):
            done += await database.write(store.rewrap_provider_keys, _rewrapped(vault, batch, refused))
        return done, len(due), refused

    done, due, refused = run_on_database(settings, work)
    for key, why in refused:
        click.echo(f"{key.id} ({key.provider}): {why} Remove it, and add the key anew.", err=True)
    click.echo(f"Rewrapped {done} of {due} provider keys that were not sealed under the first master key.")
    if done < due:
        raise click.ClickException("not all are, so keep the other master keys. `gateway keys rewrap` goes on.")


@keys.command()
@click.argument("key_id", metavar="ID", type=click.UUID)
def remove(key_id: UUID) -> None:
    """Delete the key ID from the database. At the provider it stays valid: revoke it there too."""
    run_on_database(load_settings(), lambda database: database.write(store.remove_provider_key, key_id))
    click.echo(f"{key_id} is removed. {SOON} Revoke it at the provider too.")


def _origin(catalog: Catalog, name: str) -> str:
    """Where the keys of a provider may be sent; click tells it when it is unknown, or has no keys."""
    spec = catalog.providers.get(name)
    if spec is None:
        raise click.ClickException(
            f"There is no provider {name!r} in the personas file{did_you_mean(name, catalog.providers)}"
        )
    if spec.kind in (ProviderKind.local, ProviderKind.echo):
        raise click.ClickException(f"{name!r} is of kind {spec.kind.value} and needs no key.")
    return origin_of(base_url_of(spec))


def _misplaced(catalog: Catalog, key: SealedKey) -> str | None:
    """Why a key that opens is sent nowhere, if it is not."""
    spec = catalog.providers.get(key.provider)
    if spec is None:
        return "The personas file declares no such provider."
    if spec.kind in (ProviderKind.local, ProviderKind.echo):
        return f"The provider is of kind {spec.kind.value} now and needs no key."
    if key.origin != origin_of(base_url_of(spec)):
        return f"The provider is at {origin_of(base_url_of(spec))} now; replace the key to send it there."
    return None


def _ask_key() -> Secret:
    """The key from the terminal, unseen, or from the standard input."""
    if sys.stdin.isatty():
        said = str(click.prompt("Key", hide_input=True))
    else:
        said = sys.stdin.buffer.read(2 * LONGEST).decode("ascii", "replace")
    said = said.strip()
    if not SHORTEST <= len(said) <= LONGEST:
        raise click.ClickException(f"A key has {SHORTEST} to {LONGEST} characters; this has {len(said)}.")
    try:
        return Secret(said)
    except ValueError:
        raise click.ClickException("A key is one line of visible ASCII characters, without blanks.") from None


def _refuse_twin(vault: Vault, key: Secret, provider: str, origin: str, stored: Sequence[SealedKey]) -> None:
    """Refuse a key that is stored already. The database does too, but cannot compare across master keys."""
    if is_stored(vault, key, provider, origin, stored):
        raise AlreadyTaken("key", f"This key of {provider} is stored already. `gateway keys list` shows it.")


def _rewrapped(
    vault: Vault, batch: Iterable[SealedKey], refused: list[tuple[SealedKey, str]]
) -> list[tuple[SealedKey, Sealed]]:
    """The batch under the first master key; what does not open goes to `refused`, with the reason."""
    rewrapped = []
    for key in batch:
        try:
            rewrapped.append((key, rewrap_key(vault, key)))
        except WrongKey as error:
            refused.append((key, error.message))
    return rewrapped
