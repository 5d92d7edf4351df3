"""From the checked values of a file to the values that the gateway uses."""

from collections.abc import Mapping
from typing import Any

import msgspec

from personas.loading.document import Document
from personas.loading.resolve import Resolved
from personas.loading.schema import (
    ExampleEntry,
    LorebookEntry,
    ModelEntry,
    ParamsEntry,
    PersonaEntry,
    PersonasFile,
    ProviderEntry,
)
from personas.persona import Access, ContextPolicy, ExampleLine, Lorebook, LoreEntry, Persona
from providers.models import Model, Params, Price, ProviderKind, ProviderSpec

PUBLIC = {ProviderKind.openai: "https://api.openai.com/v1", ProviderKind.anthropic: "https://api.anthropic.com"}
"""Where each kind of provider is, unless `base_url` says otherwise."""

ANTHROPIC_VERSION = "2023-06-01"


class Declared(msgspec.Struct, frozen=True):
    """Everything of a file, by id; personas without the abstract ones."""

    providers: dict[str, ProviderSpec]
    models: dict[str, Model]
    personas: dict[str, Persona]


def build(document: Document, resolved: Mapping[str, Resolved]) -> Declared:
    """The values of a document in which no check found a mistake."""
    file = PersonasFile.model_validate(document.data)
    providers = {name: _provider(name, entry) for name, entry in file.providers.items()}
    models = {name: _model(name, entry, providers) for name, entry in file.models.items()}
    books = {name: _lorebook(name, entry) for name, entry in file.lorebooks.items()}
    personas = {
        name: _persona(name, PersonaEntry.model_validate(persona.data), models, books)
        for name, persona in resolved.items()
        if not persona.abstract
    }
    return Declared(providers, models, personas)


def _provider(name: str, entry: ProviderEntry) -> ProviderSpec:
    kind = ProviderKind(entry.kind)
    return ProviderSpec(
        name=name,
        kind=kind,
        base_url=(entry.base_url or PUBLIC.get(kind, "")).rstrip("/"),
        key_env=entry.key_env,
        version=(entry.version or ANTHROPIC_VERSION) if kind is ProviderKind.anthropic else "",
    )


def _model(name: str, entry: ModelEntry, providers: Mapping[str, ProviderSpec]) -> Model:
    anywhere = entry.system_anywhere
    if anywhere is None:
        anywhere = providers[entry.provider].kind is not ProviderKind.anthropic
    return Model(
        id=name,
        provider=entry.provider,
        name=entry.name,
        window=entry.window,
        max_output=entry.max_output,
        safety=entry.safety,
        drops=frozenset(entry.drops),
        system_anywhere=anywhere,
        price=Price(**entry.price.model_dump()) if entry.price else None,
    )


def _lorebook(name: str, entry: LorebookEntry) -> Lorebook:
    return Lorebook(
        id=name,
        entries=tuple(
            LoreEntry(
                id=item.id,
                content=_text(item.content),
                keys=tuple(item.keys),
                always=item.always,
                priority=item.priority,
            )
            for item in entry.entries
        ),
        budget_tokens=entry.budget_tokens,
        scan_depth=entry.scan_depth,
    )


def _persona(name: str, entry: PersonaEntry, models: Mapping[str, Model], books: Mapping[str, Lorebook]) -> Persona:
    if entry.model is None or entry.name is None:
        raise ValueError(f"{name!r} was not checked")
    candidates = [entry.model, *entry.fallbacks, *([entry.stand_in] if entry.stand_in else [])]
    return Persona(
        id=name,
        name=entry.name,
        model=entry.model,
        models={candidate: models[candidate] for candidate in candidates},
        fallbacks=tuple(entry.fallbacks),
        stand_in=entry.stand_in,
        nickname=entry.nickname or "",
        summary=entry.summary,
        tags=tuple(entry.tags),
        system=_text(entry.system),
        persona=_text(entry.persona),
        personality=_text(entry.personality),
        scenario=_text(entry.scenario),
        examples=tuple(tuple(_line(line) for line in dialogue) for dialogue in entry.examples),
        greetings=tuple(_text(greeting) for greeting in entry.greetings),
        post_history=_text(entry.post_history),
        params=_params(entry.params),
        max_output_tokens=entry.params.max_output_tokens,
        context=ContextPolicy(**entry.context.model_dump()),
        variables={key: str(value) for key, value in entry.variables.items()},
        lorebooks=tuple(books[book] for book in entry.lorebooks),
        access=Access(roles=tuple(entry.access.roles), users=tuple(entry.access.users), listed=entry.access.listed),
        show_prompt=entry.show_prompt,
    )


def _params(entry: ParamsEntry) -> Params:
    given: dict[str, Any] = entry.model_dump(exclude={"max_output_tokens"})
    return Params(**{**given, "stop": tuple(entry.stop)})


def _line(entry: ExampleEntry) -> ExampleLine:
    return ExampleLine("user", entry.user) if entry.user is not None else ExampleLine("char", entry.char or "")


def _text(value: object) -> str:
    # Referred files were read into the document before it was checked, so that every text is one here.
    return value if isinstance(value, str) else ""
