"""The provider keys in use: those of the environment and those of the database, opened and given to the providers.

The command line changes the database and tells nobody, so a running gateway looks. It compares whole rows: they are
few, and no counter or time stamp that could miss a change is needed.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from gateway.keys.master_key import MasterKeyRefused, read_master_keys
from gateway.keys.sealed_keys import open_keys, open_vault
from gateway.operations.observability import hide_in_logs
from gateway.settings import Settings
from providers.models import ProviderSpec
from providers.registry import Registry
from providers.upstream.keys import ProviderKey, Secret
from storage.database import Database
from storage.errors import StorageError
from storage.keys.provider_keys import SealedKey, list_provider_keys
from storage.keys.vault import Vault

logger = logging.getLogger("gateway.keys")

LOOK_EVERY = 1.0
"""Seconds between two looks at the stored keys."""

Specs = Mapping[str, ProviderSpec]


class KeysInUse:
    """Gives all keys to the providers, at the start and whenever they, or the declared providers, change."""

    def __init__(self, settings: Settings, database: Database, providers: Registry, specs: Callable[[], Specs]) -> None:
        self._settings = settings
        self._database = database
        self._providers = providers
        self._specs = specs
        self._seen: tuple[Sequence[SealedKey], Specs] | None = None
        self._opened: dict[tuple[UUID, datetime | None], tuple[str, ProviderKey]] = {}

    async def start(self) -> None:
        """Take the keys into use. Raises `MasterKeyRefused` when the master key of a stored one is not at hand."""
        open_vault(self._settings, await self._database.read(list_provider_keys))
        await self.look()

    async def look(self) -> None:
        """Take into use what changed since the last look."""
        stored, specs = await self._database.read(list_provider_keys), self._specs()
        if (stored, specs) == self._seen:
            return
        self._open_changed(stored)
        keys = environment_keys(specs)
        for provider, key in self._opened.values():
            keys.setdefault(provider, []).append(key)
        hide_in_logs([*_master_keys(self._settings), *(key.secret.reveal() for one in keys.values() for key in one)])
        self._providers.set_keys(keys)
        self._seen = stored, specs

    async def watch(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.look()
            except StorageError as error:
                logger.warning("the provider keys cannot be read now", extra={"reason": error.message})
            except Exception:  # a watcher that dies would leave a removed key in use
                logger.exception("the provider keys could not be taken into use")

    def _open_changed(self, stored: Sequence[SealedKey]) -> None:
        """Open what is new. What was opened stays open: a rewrap changes its seal and not the key, and may be under a
        master key that this process was not given yet."""
        was, self._opened = self._opened, {}
        changed = []
        for one in stored:
            version = (one.id, one.replaced_at)
            if version in was:
                self._opened[version] = was[version]
            else:
                changed.append(one)
        opened, unusable = open_keys(_vault(self._settings) if changed else None, changed)
        self._opened |= {(one.id, one.replaced_at): (one.provider, key) for one, key in opened}
        for one, why in unusable:
            logger.error(
                "a stored provider key cannot be used",
                extra={"key": str(one.id), "provider": one.provider, "master": one.master, "reason": why},
            )


def environment_keys(specs: Specs) -> dict[str, list[ProviderKey]]:
    """The keys in the variables that the providers name; they go wherever their provider is."""
    found: dict[str, list[ProviderKey]] = {}
    for spec in specs.values():
        value = os.environ.get(spec.key_env, "").strip() if spec.key_env else ""
        if not value:
            continue
        try:
            found[spec.name] = [ProviderKey(Secret(value))]
        except ValueError:
            logger.error("an environment variable holds no key", extra={"variable": spec.key_env})
    return found


def _vault(settings: Settings) -> Vault | None:
    try:
        keys = read_master_keys(settings)
    except MasterKeyRefused as error:
        logger.error("the master key cannot be used", extra={"reason": str(error)})
        return None
    return Vault(keys) if keys else None


def _master_keys(settings: Settings) -> list[str]:
    return [] if settings.master_key is None else settings.master_key.get_secret_value().replace(",", " ").split()
