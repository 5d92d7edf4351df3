"""Checks of what operators wrote as text: the files they refer to, the macros in them, and keys that slipped in."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from personas.errors import Problem, did_you_mean
from personas.loading.document import Document, Path
from personas.loading.raw import elements, entries, get, items, leaves, named, strings
from personas.loading.resolve import Resolved
from personas.loading.sources import Sources, Unreadable
from personas.macros import FIXED, VOLATILE, find_macros

PROMPTS = ("system", "persona", "personality", "scenario", "post_history")
PLAIN = ("name", "nickname", "summary")
"""Texts for people, in which macros are not rendered."""

KEY_LIKE = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|r8)[-_][A-Za-z0-9_-]{20,}|\bAIza[\w-]{30,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}|\bxox[abprs]-[\w-]{20,}|\bey[JI][\w-]{20,}\.[\w-]{10,}\."
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
)


def include_files(document: Document, sources: Sources) -> Iterator[Problem]:
    """Puts the texts of referred files into the document, and yields what is wrong with the references."""
    for path, value in list(_texts_as_written(document.data)):
        if isinstance(value, dict) and isinstance(value.get("file"), str):
            try:
                name, text = sources.read_text(value["file"])
            except Unreadable as error:
                yield document.problem((*path, "file"), f"{value['file']!r} cannot be used: {error}.")
                name, text = "", ""
            document.include(path, name or document.name, text)


def _texts_as_written(data: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    for at, entry in entries(data):
        yield from ((at + path, value) for path, value in _own_texts(entry))
    for at, book in named(data, "lorebooks"):
        for index, item in enumerate(elements(get(book, "entries"))):
            yield (*at, "entries", index, "content"), get(item, "content")


def _own_texts(entry: Any) -> Iterator[tuple[Path, Any]]:
    for field in PROMPTS:
        if get(entry, field) is not None:
            yield (field,), entry[field]
    for index, greeting in enumerate(elements(get(entry, "greetings"))):
        yield ("greetings", index), greeting


def macro_problems(document: Document, resolved: Mapping[str, Resolved]) -> Iterator[Problem]:
    """Macros that do not exist for a persona, or that may not stand where they do, each told once.

    An abstract persona may use variables that only those who extend it have: its texts are read in theirs.
    """
    told: set[Problem] = set()
    for persona in resolved.values():
        if persona.abstract and persona.extended:
            continue
        known = _variables(persona.data)
        for path, text, volatile in _texts_of(document, persona):
            for problem in _macros(document, path, text, known, volatile):
                if problem not in told:
                    told.add(problem)
                    yield problem
    used = {book for persona in resolved.values() for book in strings(persona.data.get("lorebooks"))}
    for name, book in items(document.data.get("lorebooks")):
        if name not in used:
            for path, text, volatile in _lore(name, book):
                yield from _macros(document, path, text, _variables(document.data), volatile)


def _texts_of(document: Document, persona: Resolved) -> Iterator[tuple[Path, str, bool]]:
    """A persona's texts with macros: the place, the text, and whether volatile macros may stand in it."""
    for path, text in _own_texts(persona.data):
        if isinstance(text, str):
            yield _said(persona, path), text, path[0] in ("post_history", "greetings")
    for number, dialogue in enumerate(elements(persona.data.get("examples"))):
        for index, line in enumerate(elements(dialogue)):
            for speaker, text in items(line):
                if isinstance(text, str):
                    yield _said(persona, ("examples", number, index, speaker)), text, False
    for name in strings(persona.data.get("lorebooks")):
        yield from _lore(name, get(document.data.get("lorebooks"), name))


def _lore(name: str, book: Any) -> Iterator[tuple[Path, str, bool]]:
    for index, item in enumerate(elements(get(book, "entries"))):
        if isinstance(get(item, "content"), str):
            yield ("lorebooks", name, "entries", index, "content"), item["content"], item.get("always") is not True


def _said(persona: Resolved, path: Path) -> Path:
    return persona.origins[path[:1]] + path[1:]


def _macros(document: Document, path: Path, text: str, known: list[str], volatile: bool) -> Iterator[Problem]:
    for macro in find_macros(text):
        if macro.name is None:
            message = "this '{{' is never closed; write '}}', or a single brace."
        elif macro.name not in known:
            message = f"there is no macro {macro.name!r}{did_you_mean(macro.name, known)}"
        elif macro.name == VOLATILE and not volatile:
            message = (
                "'{{time}}' may stand in post_history and in lore with keys only: here it would void the provider's"
                " cache every minute; use '{{date}}'."
            )
        else:
            continue
        yield document.problem(path, message, offset=macro.offset)


def plain_text_problems(document: Document) -> Iterator[Problem]:
    """Macros where none are rendered, variables named like a macro, and texts that say nothing."""
    data = document.data
    for at, entry in [((), data), *entries(data)]:
        for name, value in items(get(entry, "variables")):
            if name in FIXED:
                yield document.problem((*at, "variables", name), f"{name!r} is a macro; choose another name.", key=True)
            yield from _no_macros(document, (*at, "variables", name), value)
        for field in PLAIN:
            yield from _no_macros(document, (*at, field), get(entry, field))
        for index, greeting in enumerate(elements(get(entry, "greetings"))):
            if isinstance(greeting, str) and not greeting.strip():
                yield document.problem((*at, "greetings", index), "the greeting is empty; write one, or remove it.")
        for number, dialogue in enumerate(elements(get(entry, "examples"))):
            for index, line in enumerate(elements(dialogue)):
                if isinstance(line, dict) and len(line.keys() & {"user", "char"}) != 1:
                    yield document.problem((*at, "examples", number, index), "write either 'user' or 'char'.")


def _no_macros(document: Document, path: Path, value: Any) -> Iterator[Problem]:
    if isinstance(value, str) and "{{" in value:
        yield document.problem(path, "macros are not rendered here; write the text itself.", offset=value.index("{{"))


def secret_problems(document: Document) -> Iterator[Problem]:
    """Every value, and every text of a file, that looks like a key. The value itself is never repeated."""
    for path, text in leaves(document.data):
        if isinstance(text, str) and (found := KEY_LIKE.search(text)):
            message = "this looks like a key; remove it, store it with `gateway keys add`, and revoke it."
            yield document.problem(path, message, offset=found.start())


def _variables(data: dict[str, Any]) -> list[str]:
    return [*FIXED, *(name for name, _ in items(data.get("variables")))]
