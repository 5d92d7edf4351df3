"""Inheritance: what a persona is once everything it extends, and the defaults, have been put together.

Maps merge key by key; texts, numbers and lists replace. Each ancestor counts once, before all that extend it, so
with `extends: [a, b]` what b says wins over a, and what both inherit wins over neither.
"""

from typing import Any

import msgspec

from personas.errors import Problem, did_you_mean
from personas.loading.document import Document, Path

DEEPEST = 8
OWN = ("extends", "abstract")
"""Keys that say something about an entry itself, and are not inherited."""


class Resolved(msgspec.Struct):
    """A persona's merged values, and for each the place in the document where it was said.

    `abstract` personas are there to be extended, and `extended` ones are.
    """

    data: dict[str, Any]
    origins: dict[Path, Path]
    abstract: bool = False
    extended: bool = False


def resolve_all(document: Document) -> tuple[dict[str, Resolved], list[Problem]]:
    """All personas by id, or none where something is wrong with what they extend."""
    problems = inheritance_problems(document)
    personas = {} if problems else _entries(document.data.get("personas"))
    extended = {parent for entry in personas.values() for parent in _parents(entry)}
    resolved = {persona_id: _resolve(document, persona_id) for persona_id in personas}
    for persona_id, persona in resolved.items():
        persona.abstract = personas[persona_id].get("abstract") is True
        persona.extended = persona_id in extended
    return resolved, problems


def _resolve(document: Document, persona_id: str) -> Resolved:
    personas = document.data["personas"]
    resolved = Resolved({}, {})
    variables = document.data.get("variables")
    if isinstance(variables, dict):
        _merge(resolved, {"variables": variables}, (), ())
    _merge(resolved, _inheritable(document.data.get("defaults")), ("defaults",), ())
    for ancestor in _ancestry(personas, persona_id, []):
        _merge(resolved, _inheritable(personas[ancestor]), ("personas", ancestor), ())
    return resolved


def inheritance_problems(document: Document) -> list[Problem]:
    """Parents that do not exist, cycles (each told once, with the whole circle), and chains of more than eight."""
    personas = _entries(document.data.get("personas"))
    above = {persona_id: _parents(entry) for persona_id, entry in personas.items()}
    problems: list[Problem] = []
    circles: set[frozenset[str]] = set()
    too_long = _longer_than(DEEPEST, above)
    for persona_id, parents in above.items():
        place: Path = ("personas", persona_id, "extends")
        for index, parent in enumerate(parents):
            if parent not in personas:
                at = (*place, index) if isinstance(personas[persona_id]["extends"], list) else place
                problems.append(document.problem(at, f"there is no persona {parent!r}{did_you_mean(parent, personas)}"))
        circle = _circle(persona_id, above)
        if circle and frozenset(circle) not in circles:
            circles.add(frozenset(circle))
            problems.append(document.problem(place, f"extends itself: {' -> '.join(circle)}; break the circle."))
        elif not circle and persona_id in too_long:
            problems.append(document.problem(place, f"extends through more than {DEEPEST} levels; merge some."))
    return problems


def _entries(personas: Any) -> dict[str, dict[str, Any]]:
    named = personas.items() if isinstance(personas, dict) else ()
    return {persona_id: entry for persona_id, entry in named if isinstance(entry, dict)}


def _parents(entry: dict[str, Any]) -> list[str]:
    extends = entry.get("extends", [])
    listed = extends if isinstance(extends, list) else [extends]
    return [parent for parent in listed if isinstance(parent, str)]


def _circle(persona_id: str, above: dict[str, list[str]]) -> list[str]:
    """The way from a persona up to itself, or nothing."""
    came_from: dict[str, str] = {}
    waiting = [persona_id]
    while waiting:
        child = waiting.pop()
        for parent in above.get(child, []):
            if parent == persona_id:
                way = [persona_id, child]
                while way[-1] != persona_id:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if parent not in came_from:
                came_from[parent] = child
                waiting.append(parent)
    return []


def _longer_than(levels: int, above: dict[str, list[str]]) -> set[str]:
    """The personas with so many levels above them, and more."""
    tall = set(above)
    for _ in range(levels + 1):
        tall = {persona_id for persona_id in tall if any(parent in tall for parent in above[persona_id])}
    return tall


def _ancestry(personas: Any, persona_id: str, order: list[str]) -> list[str]:
    for parent in _parents(personas[persona_id]):
        if parent not in order:
            _ancestry(personas, parent, order)
    order.append(persona_id)
    return order


def _inheritable(entry: Any) -> dict[str, Any]:
    entry = entry if isinstance(entry, dict) else {}
    return {key: value for key, value in entry.items() if key not in OWN and not key.startswith("x-")}


def _merge(resolved: Resolved, values: dict[str, Any], said: Path, at: Path) -> None:
    holder = resolved.data
    for step in at:
        holder = holder[str(step)]
    for key, value in values.items():
        if isinstance(value, dict):
            if not isinstance(holder.get(key), dict):
                holder[key] = {}
            _merge(resolved, value, (*said, key), (*at, key))
        else:
            holder[key] = value
        resolved.origins[(*at, key)] = (*said, key)
