"""What has served its time is deleted: expired logins and tokens, old idempotency keys, rate limits at rest."""

import asyncio
import logging

from storage.database import Database
from storage.errors import StorageError
from storage.people.allowances import forget_full_allowances
from storage.people.credentials import forget_expired_credentials
from storage.turns.idempotency import forget_old_keys

logger = logging.getLogger("gateway")

EVERY = 600.0
"""Seconds between two rounds."""


async def upkeep(database: Database) -> None:
    """Delete what is needed no more, now and then, until cancelled."""
    while True:
        for unit in (forget_full_allowances, forget_old_keys, forget_expired_credentials):
            try:
                await database.write_long(unit)
            except StorageError as error:
                logger.warning("upkeep waits for the database", extra={"reason": error.message})
        await asyncio.sleep(EVERY)
