"""The data of a chat's session: accepted as a text or an object, stored as an object."""

import re
from typing import Any

import msgspec

from gateway.errors import InvalidInput

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""A NUL as JSON writes it, which PostgreSQL cannot store; after another backslash it is only text."""

LARGEST = 16_384
"""Bytes of the data as JSON."""


def parse_session_data(data: dict[str, Any] | str | None) -> dict[str, Any]:
    """The object to store. Raises `InvalidInput` for data that is too large or holds NUL."""
    if data is None or data == "":
        return {}
    stored = {"text": data} if isinstance(data, str) else data
    encoded = msgspec.json.encode(stored)
    if len(encoded) > LARGEST:
        raise InvalidInput(
            f"The chat's data may have {LARGEST} bytes as JSON; this has {len(encoded)}.",
            errors=[{"pointer": "/data", "message": "is too large"}],
        )
    if _NUL.search(encoded):
        raise InvalidInput("The chat's data holds a NUL character, which cannot be stored. Remove it.")
    return stored


def shown_session_data(stored: dict[str, Any]) -> dict[str, Any] | str:
    """The data in the form in which it was given: a text is a text again."""
    if set(stored) == {"text"} and isinstance(stored["text"], str):
        return stored["text"]
    return stored
