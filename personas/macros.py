"""Macros in operators' texts: one parser, one pass, a fixed set.

Values are inserted as data and never read again, so a display name cannot hold a macro that works. Texts of people
and models, and the data of a chat, never come here.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from personas.persona import Persona

FIXED = ("char", "user", "date", "weekday", "persona_id", "time")
VOLATILE = "time"
"""Changes within a chat, so it may not stand in the part of a prompt that providers cache."""

LONGEST_NAME = 80
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_MACRO = re.compile(r"\{\{([^{}]*)\}\}")
_UNSAFE = re.compile(r"[{}\s\x00-\x1f\x7f-\x9f]+")


class Scene(msgspec.Struct, frozen=True):
    """What comes from outside: the asker's display name, an aware time, and the chat's session data."""

    user: str
    now: datetime
    data: str = ""


class FoundMacro(msgspec.Struct, frozen=True):
    """A macro in a text: its name, and where its braces open. A brace pair that never closes has no name."""

    name: str | None
    offset: int


def find_macros(text: str) -> Iterator[FoundMacro]:
    """All macros of a text in order, comments left out."""
    closed = list(_MACRO.finditer(text))
    opened = {match.start() for match in closed}
    for match in closed:
        name = match[1].strip()
        if not name.startswith("//"):
            yield FoundMacro(name, match.start())
    for stray in re.finditer(r"\{\{", text):
        if stray.start() not in opened and stray.start() + 1 not in opened:
            yield FoundMacro(None, stray.start())


def render(text: str, values: Mapping[str, str]) -> str:
    """The text with its macros replaced and its comments removed. Raises KeyError for a macro without a value."""

    def value(match: re.Match[str]) -> str:
        name = match[1].strip()
        return "" if name.startswith("//") else values[name]

    return _MACRO.sub(value, text) if "{{" in text else text


def macro_values(persona: Persona, user: str, now: datetime) -> dict[str, str]:
    """What each macro stands for; `time` to the minute, with its zone."""
    return {
        **persona.variables,
        "char": persona.char,
        "user": safe_name(user),
        "persona_id": persona.id,
        "date": now.date().isoformat(),
        "weekday": WEEKDAYS[now.weekday()],
        "time": f"{now:%H:%M} {now.tzname() or ''}".rstrip(),
    }


def safe_name(name: str) -> str:
    """A display name that stays on its line and inside its braces, of at most 80 characters."""
    safe = _UNSAFE.sub(" ", name).strip()[:LONGEST_NAME].strip()
    return safe if any(char.isprintable() for char in safe) else "User"


def render_greetings(persona: Persona, scene: Scene) -> tuple[str, ...]:
    """The persona's opening lines for this person; the gateway stores one as a chat's first message."""
    values = macro_values(persona, scene.user, scene.now)
    return tuple(render(greeting, values) for greeting in persona.greetings)
