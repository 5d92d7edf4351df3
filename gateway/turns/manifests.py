"""What was sent in a turn, told to who asked it and to operators; the texts only where the persona shows them.

What a persona says today counts for its past turns too; what it said at the time counts once it was removed.
"""

from typing import Any
from uuid import UUID

import msgspec

from gateway.errors import NotPermitted
from gateway.identity.principal import Principal
from gateway.policy import Permission
from personas.catalog import Catalog
from personas.manifest import message_ids, read_manifest
from personas.persona import Disclosure
from storage.conversations.messages import read_texts
from storage.database import Database
from storage.turns.persona_revisions import load_revision
from storage.turns.rows import load_asked_turn, load_manifest


async def stored_context(database: Database, catalog: Catalog, reader: Principal, turn_id: UUID) -> dict[str, Any]:
    """The manifest of a stored turn. Raises `NotFound`, and `NotPermitted` for a member who did not ask it."""
    is_operator = reader.may(Permission.operations_read)
    turn = await database.read(load_asked_turn, turn_id, None if is_operator else reader.user_id)
    if not is_operator and turn.user_id != reader.user_id:
        raise NotPermitted("Only who asked a turn, and operators, may see what was sent in it.")
    stored = await database.read(load_manifest, turn_id)
    persona: Disclosure | None = catalog.personas.get(turn.persona)
    if persona is None:
        revision = await database.read(load_revision, turn.persona_digest)
        persona = msgspec.json.decode(revision, type=Disclosure)
    show = persona.shows_prompt(reader.role)
    texts = await database.read(read_texts, turn.chat_id, message_ids(stored)) if show else {}
    return read_manifest(stored, texts, show)
