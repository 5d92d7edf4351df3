"""Before a turn exists: who would answer, and the Context that they would be sent."""

from collections.abc import Callable

import msgspec

from gateway.errors import MessageTooLong, PersonaUnavailable
from gateway.identity.principal import Principal
from personas.catalog import Catalog
from personas.context import Context, assemble_context
from personas.errors import ContextTooLarge, UnknownPersona
from personas.macros import Scene
from personas.manifest import stored_manifest
from personas.persona import Persona
from providers.models import Model
from providers.provider import Provider
from providers.registry import Registry
from storage.database.columns import now
from storage.turns.opening import Opening, Prepared


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asked, in this order, and what the first of them is sent."""

    persona: Persona
    candidates: list[tuple[Provider, Model]]
    scene: Scene
    context: Context


def preparer(catalog: Catalog, providers: Registry, asker: Principal) -> Callable[[Opening], Prepared[Plan]]:
    """The pure step between reading a chat and opening its turn; see `storage.turns.opening.begin_turn`.

    It raises `PersonaUnavailable`, `NoKey` or `MessageTooLong`, and then nothing is written.
    """

    def prepare(opening: Opening) -> Prepared[Plan]:
        persona = persona_for(catalog, opening.persona, asker)
        candidates = candidates_for(catalog, providers, persona)
        scene = Scene(user=opening.user_name, now=now(), data=opening.session_data)
        model = candidates[0][1]
        context = assemble(persona, model, opening, scene)
        return Prepared(
            persona_digest=persona.digest,
            model=model.id,
            manifest=stored_manifest(context),
            window_start=context.window_start,
            context=Plan(persona=persona, candidates=candidates, scene=scene, context=context),
        )

    return prepare


def admitted_persona(catalog: Catalog, persona_id: str, asker: Principal) -> Persona:
    """A persona that this person may talk to. Raises `UnknownPersona`, also for one that is not for them."""
    admitted = {
        name: persona for name, persona in catalog.personas.items() if persona.admits(asker.role, asker.username)
    }
    if persona_id not in admitted:
        raise UnknownPersona(persona_id, admitted)
    return admitted[persona_id]


def persona_for(catalog: Catalog, persona_id: str, asker: Principal) -> Persona:
    """The persona of a chat, if it is still there and still for this person."""
    try:
        persona = catalog.get(persona_id)
    except UnknownPersona:
        raise PersonaUnavailable(
            f"The persona {persona_id!r} is not there any more. The chat can be read, not continued."
        ) from None
    if not persona.admits(asker.role, asker.username):
        raise PersonaUnavailable(f"{persona.name} is not for you any more. The chat can be read, not continued.")
    return persona


def candidates_for(catalog: Catalog, providers: Registry, persona: Persona) -> list[tuple[Provider, Model]]:
    """Who may answer for a persona, in order."""
    models = [catalog.models[name] for name in (persona.model, *persona.fallbacks)]
    return providers.candidates(models, catalog.models[persona.stand_in] if persona.stand_in else None)


def assemble(persona: Persona, model: Model, opening: Opening, scene: Scene) -> Context:
    """The Context of a turn for one model."""
    try:
        return assemble_context(persona, model, opening.history, opening.message, scene)
    except ContextTooLarge as error:
        raise MessageTooLong(str(error), budget=error.budget, parts=error.parts) from None
