"""The stable beginning of a prompt: all that stays the same from turn to turn, so that providers can cache it.

Rendered and counted once per persona and macro values; a value counts only where a text uses it, so a persona that
never says `{{user}}` is rendered once for everybody.
"""

from datetime import UTC, date, datetime, time
from functools import lru_cache

import msgspec

from personas.macros import Scene, find_macros, macro_values, render
from personas.persona import ExampleLine, Persona
from personas.segments import Kind
from providers.tokens import count_tokens


class Part(msgspec.Struct, frozen=True):
    """A rendered text of the prefix. `tokens` is the plain o200k_base count."""

    kind: Kind
    id: str
    text: str
    tokens: int


def prefix_parts(persona: Persona, scene: Scene) -> tuple[Part, ...]:
    """The prefix in the order of sending: system, persona, constant lore, examples. Empty texts are left out."""
    used = _used_macros(persona)
    user = scene.user if "user" in used else ""
    return _rendered(persona, user, scene.now.date() if used & {"date", "weekday"} else date.min)


def prefix_texts(persona: Persona) -> list[tuple[Kind, str, str]]:
    """The unrendered texts of the prefix, each with its kind and segment id."""
    texts = [
        (Kind.system, "system", persona.system),
        (Kind.persona, "persona", persona.persona),
        (Kind.personality, "personality", f"{{{{char}}}}'s personality: {persona.personality}"),
        (Kind.scenario, "scenario", f"Scenario: {persona.scenario}"),
    ]
    written = (persona.system, persona.persona, persona.personality, persona.scenario)
    texts = [text for text, source in zip(texts, written, strict=True) if source.strip()]
    for book in persona.lorebooks:
        texts += [(Kind.lore, f"{book.id}/{entry.id}", entry.content) for entry in book.entries if entry.always]
    for number, dialogue in enumerate(persona.examples, 1):
        texts.append((Kind.example, f"example/{number}", _as_text(dialogue)))
    return texts


def _as_text(dialogue: tuple[ExampleLine, ...]) -> str:
    # Examples are told in the system text, not played as messages: a model must not take them for this chat's past.
    speakers = {"user": "User", "char": "{{char}}"}
    lines = (f"{speakers[line.speaker]}: {line.text}" for line in dialogue)
    return "An example of how {{char}} talks:\n" + "\n".join(lines)


@lru_cache(maxsize=4096)
def _used_macros(persona: Persona) -> frozenset[str]:
    texts = (text for _, _, text in prefix_texts(persona))
    return frozenset(found.name for text in texts for found in find_macros(text) if found.name)


@lru_cache(maxsize=1024)
def _rendered(persona: Persona, user: str, day: date) -> tuple[Part, ...]:
    values = macro_values(persona, user, datetime.combine(day, time.min, UTC))
    rendered = ((kind, id_, render(text, values).strip()) for kind, id_, text in prefix_texts(persona))
    return tuple(Part(kind, id_, text, count_tokens(text)) for kind, id_, text in rendered)
