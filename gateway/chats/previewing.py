"""What a next turn of a chat would be sent: the same assembler, with an empty message in the new one's place."""

import asyncio
from typing import Any
from uuid import UUID

from gateway.errors import GatewayError
from gateway.identity.principal import Principal
from gateway.turns.preparing import assemble, candidates_for, persona_for
from personas.catalog import Catalog
from personas.macros import Scene
from personas.manifest import manifest
from providers.errors import ProviderError
from providers.registry import Registry
from storage.database import Database
from storage.database.columns import now
from storage.turns.opening import Opening, next_opening


async def preview_context(
    database: Database, catalog: Catalog, providers: Registry, reader: Principal, chat_id: UUID
) -> dict[str, Any] | None:
    """The manifest of a next turn, or None where none could be asked. Raises `NotFound`."""
    opening = await database.read(next_opening, reader.user_id, chat_id)
    return await asyncio.to_thread(_manifest, opening, catalog, providers, reader)


def _manifest(opening: Opening, catalog: Catalog, providers: Registry, reader: Principal) -> dict[str, Any] | None:
    try:
        persona = persona_for(catalog, opening.persona, reader)
        model = candidates_for(catalog, providers, persona)[0][1]
        scene = Scene(user=opening.user_name, now=now(), data=opening.session_data)
        context = assemble(persona, model, opening, scene)
    except (GatewayError, ProviderError):
        return None
    return manifest(context, persona.shows_prompt(reader.role))
