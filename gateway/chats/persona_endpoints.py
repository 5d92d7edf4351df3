"""The personas that one may chat with, over HTTP."""

from typing import Any

import msgspec
from litestar import Request, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from gateway.catalog import CurrentCatalog
from gateway.http.paging import Page
from gateway.identity.guards import requires
from gateway.identity.principal import Principal
from gateway.policy import Permission
from gateway.turns.preparing import admitted_persona, candidates_for
from personas.catalog import Catalog
from personas.macros import Scene, render_greetings
from personas.persona import Persona
from providers.errors import NoKey
from providers.provider import Availability, Readiness
from providers.registry import Registry
from storage.database.columns import now

Caller = Request[Principal, Any, Any]


class PersonaView(msgspec.Struct, frozen=True, kw_only=True):
    """A persona as people choose it. `model` is the one that would answer now, and `availability` whether it would."""

    id: str
    name: str
    description: str
    greetings: tuple[str, ...]
    tags: tuple[str, ...]
    model: str
    digest: str
    availability: Availability


@get("/", guards=[requires(Permission.personas_read)])
async def read_personas(
    request: Caller, catalog: NamedDependency[CurrentCatalog], providers: NamedDependency[Registry]
) -> Page[PersonaView]:
    """The personas that one may chat with, in the order of the operator's file."""
    reader = request.user
    shown = [
        _view(persona, catalog.current, providers, reader)
        for persona in catalog.current.personas.values()
        if persona.access.listed and persona.admits(reader.role, reader.username)
    ]
    return Page(shown, next=None, prev=None)


@get("/{persona_id:str}", guards=[requires(Permission.personas_read)])
async def read_persona(
    request: Caller,
    persona_id: FromPath[str],
    catalog: NamedDependency[CurrentCatalog],
    providers: NamedDependency[Registry],
) -> PersonaView:
    """A persona that one may chat with; another one is not found."""
    persona = admitted_persona(catalog.current, persona_id, request.user)
    return _view(persona, catalog.current, providers, request.user)


def _view(persona: Persona, catalog: Catalog, providers: Registry, reader: Principal) -> PersonaView:
    try:
        provider, model = candidates_for(catalog, providers, persona)[0]
        name, availability = model.id, provider.availability()
    except NoKey as error:
        name, availability = persona.model, Availability(Readiness.no_key, error.message)
    return PersonaView(
        id=persona.id,
        name=persona.name,
        description=persona.summary,
        greetings=render_greetings(persona, Scene(user=reader.display_name, now=now())),
        tags=persona.tags,
        model=name,
        digest=persona.digest,
        availability=availability,
    )


router = Router("/api/personas", route_handlers=[read_personas, read_persona], tags=["personas"])
