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
from providers.models import ProviderKind
from providers.provider import Availability, Readiness
from providers.registry import Registry
from storage.database.columns import now
from storage.people.users import UserRole

Caller = Request[Principal, Any, Any]

STAND_INS = {
    ProviderKind.local: "a small demo model on this machine",
    ProviderKind.echo: "the echo, which repeats what it hears,",
}
"""What people are told of a stand-in, instead of a name that would tell them nothing."""


class PersonaView(msgspec.Struct, frozen=True, kw_only=True):
    """A persona as people choose it. `model` is the one that would answer now, and `availability` whether it would.

    The sentence of a stand-in that is ready says that it stands in.
    """

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
        if availability.readiness is Readiness.ready and model.id == persona.stand_in:
            own = providers.availability(catalog.models[persona.model].provider)
            kind = catalog.providers[model.provider].kind
            availability = Availability(Readiness.ready, _standing_in(model.id, kind, own, reader))
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


def _standing_in(name: str, kind: ProviderKind, own: Availability, reader: Principal) -> str:
    """Who answers as long as the persona's own model has no key; for an admin, with how to add one."""
    if own.readiness is not Readiness.no_key:
        return ""
    who = STAND_INS.get(kind, f"the model {name!r}")
    return (
        f"{own.sentence} Until then {who} answers."
        if reader.role is UserRole.admin
        else f"No provider key yet: {who} answers."
    )


router = Router("/api/personas", route_handlers=[read_personas, read_persona], tags=["personas"])
