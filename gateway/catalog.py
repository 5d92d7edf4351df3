"""The catalog that turns use: a new one is taken into use once its providers are set up and its personas are stored."""

import asyncio
import logging

from personas.catalog import Catalog
from personas.reload import LiveCatalog
from providers.registry import Registry
from storage.database import Database
from storage.turns.persona_revisions import keep_revisions

logger = logging.getLogger("gateway.personas")

LOOK_EVERY = 2.0
"""Seconds between two looks at the files. Looking needs nothing of the file system, and so also sees mounts and editors
that put a new file in place."""


class CurrentCatalog:
    """Holds the catalog in use. Read `current` once a request: it is swapped as a whole."""

    def __init__(self, live: LiveCatalog, providers: Registry, database: Database) -> None:
        self.live = live
        self.current: Catalog = live.current
        self._providers = providers
        self._database = database

    async def take_into_use(self) -> None:
        """Set up the providers of the newest good catalog, store its personas' revisions, then use it."""
        catalog = self.live.current
        self._providers.configure(catalog.providers)
        revisions = {persona.digest: (persona.id, persona.canonical()) for persona in catalog.personas.values()}
        await self._database.write(keep_revisions, revisions)
        self.current = catalog

    async def watch(self) -> None:
        """Take each new good catalog into use, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                if await asyncio.to_thread(self.live.changed):
                    await asyncio.to_thread(self.live.reload)
                if self.live.current is not self.current:
                    await self.take_into_use()
            except Exception:  # a watcher that dies would leave the operator with a file that nobody reads
                logger.exception("the personas could not be taken into use; the last good ones stay")
