"""Checks of resolved personas: that each is complete, that its fixed texts fit, and what deserves a warning."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from personas.budget import cost, count_cached, input_budget
from personas.errors import Problem
from personas.loading.document import Document
from personas.loading.raw import items, strings
from personas.loading.resolve import Resolved
from personas.macros import Scene, macro_values, render
from personas.persona import Persona
from personas.prefix import prefix_parts
from personas.segments import Kind
from providers.models import Model

SOMEONE = Scene(user="Someone", now=datetime(2026, 1, 1, tzinfo=UTC))


def completeness_problems(document: Document, resolved: Mapping[str, Resolved]) -> Iterator[Problem]:
    """What a persona that people can talk to must have, and neither says nor inherits."""
    for persona_id, persona in resolved.items():
        for key in ("name", "model"):
            if key not in persona.data and not persona.abstract:
                message = f"personas.{persona_id} has no {key!r}; add it, or make the persona abstract."
                yield document.problem(("personas", persona_id), message, key=True)


def size_problems(document: Document, personas: Mapping[str, Persona]) -> Iterator[Problem]:
    """Personas that leave no room for a chat in the smallest of the models that may answer."""
    for persona in personas.values():
        model = min(persona.models.values(), key=lambda model: input_budget(persona, model))
        budget = input_budget(persona, model)
        if budget <= 0:
            message = f"{persona.id!r} reserves the whole window of model {model.id!r}; make reserve_output smaller."
            yield document.problem(("personas", persona.id), message, key=True)
            continue
        sizes = _fixed_sizes(persona, model)
        if sum(sizes.values()) >= budget:
            told = ", ".join(f"{part} {tokens}" for part, tokens in sizes.items())
            message = (
                f"the fixed texts of {persona.id!r} need {sum(sizes.values())} tokens ({told}), and the budget of model"
                f" {model.id!r} is {budget}; shorten them, or use a model with a larger window."
            )
            yield document.problem(("personas", persona.id), message, key=True)


def _fixed_sizes(persona: Persona, model: Model) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for part in prefix_parts(persona, SOMEONE):
        if part.kind is not Kind.example or persona.context.examples == "keep":
            sizes[part.kind] = sizes.get(part.kind, 0) + cost(part.tokens, model)
    if persona.post_history.strip():
        text = render(persona.post_history, macro_values(persona, SOMEONE.user, SOMEONE.now))
        sizes[Kind.post_history] = cost(count_cached(text), model)
    return sizes


def warnings(document: Document, personas: Mapping[str, Persona]) -> Iterator[Problem]:
    """What works, and is probably not meant."""
    used = {name for _, entry in items(document.data["personas"]) for name in strings(entry.get("lorebooks"))}
    used |= set(strings(document.data.get("defaults", {}).get("lorebooks")))
    for name, _ in items(document.data.get("lorebooks")):
        if name not in used:
            message = f"no persona uses the lorebook {name!r}; name it in 'lorebooks', or remove it."
            yield document.problem(("lorebooks", name), message, key=True)
    for persona in personas.values():
        place = ("personas", persona.id)
        if not persona.access.roles and not persona.access.users:
            message = f"nobody may talk to {persona.id!r}; give it 'access', as in {{roles: [member]}}."
            yield document.problem(place, message, key=True)
        model = persona.models[persona.model]
        for param in sorted(model.drops):
            if getattr(persona.params, param) not in (None, ()):
                message = f"{persona.id!r} sets {param!r}, which its model {model.id!r} leaves out of requests."
                yield document.problem(place, message, key=True)
