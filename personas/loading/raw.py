"""Looking into values of a file that may not have the right shape yet: what does not fit counts as empty.

So one mistake in a file does not keep the others from being found.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from personas.loading.document import Path


def get(value: Any, key: str) -> Any:
    """What a map has at `key`."""
    return value.get(key) if isinstance(value, dict) else None


def items(value: Any) -> list[tuple[str, Any]]:
    """The keys and values of a map."""
    return list(value.items()) if isinstance(value, dict) else []


def elements(value: Any) -> list[Any]:
    """The elements of a list."""
    return value if isinstance(value, list) else []


def strings(value: Any) -> list[str]:
    """The elements of a list that are text."""
    return [element for element in elements(value) if isinstance(element, str)]


def entries(data: dict[str, Any]) -> list[tuple[Path, Any]]:
    """The entries that may say what a persona says, each with its place: the defaults and all personas."""
    return [(("defaults",), data.get("defaults")), *named(data, "personas")]


def named(data: dict[str, Any], section: str) -> list[tuple[Path, Any]]:
    """The entries of a section, each with its place."""
    return [((section, name), entry) for name, entry in items(data.get(section))]


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """All single values inside a value, each with its place."""
    if isinstance(value, dict | list):
        inside: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else enumerate(value)
        for step, inner in inside:
            yield from leaves(inner, (*path, step))
    else:
        yield path, value
