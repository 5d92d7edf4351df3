"""Triggered lore: entries that are sent because one of their keys was just spoken of."""

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from personas.persona import Lorebook, LoreEntry
from personas.segments import Segment

UNSPACED = "\u0e00"
"""Scripts up to here (Latin, Greek, Cyrillic, Hebrew, Arabic, Devanagari ...) part their words; Thai, Chinese and
Japanese do not, and Korean joins particles to them, so there a key is found inside a run of letters as well."""


def triggered_entries(book: Lorebook, newest: str, older: list[str]) -> list[LoreEntry]:
    """The entries that the talk asks for, in the order of the file.

    `older` are the texts of the messages before the newest, latest first.
    """
    entries = [entry for entry in book.entries if not entry.always]
    if not entries:
        return []
    talk = "\n".join([newest, *older[: book.scan_depth - 1]]).casefold()
    return [entry for entry in entries if any(_speaks_of(key.casefold(), talk) for key in entry.keys)]


def fit_lore(asked: Sequence[tuple[int, Segment]], room: int, reason: str) -> list[tuple[int, Segment]]:
    """The (priority, segment) pairs, with those dropped for `reason` that do not fit into `room` tokens.

    Higher priority is served first, and the file's order among equals; the order of the pairs stays.
    """
    verdicts = list(asked)
    for index in sorted(range(len(asked)), key=lambda index: -asked[index][0]):
        priority, segment = asked[index]
        if not segment.kept:
            continue
        if segment.tokens <= room:
            room -= segment.tokens
        else:
            verdicts[index] = (priority, msgspec.structs.replace(segment, kept=False, reason=reason))
    return verdicts


def _speaks_of(key: str, talk: str) -> bool:
    return key in talk and _word(key).search(talk) is not None


@lru_cache(maxsize=4096)
def _word(key: str) -> re.Pattern[str]:
    before = r"(?<!\w)" if key[0] < UNSPACED else ""
    after = r"(?!\w)" if key[-1] < UNSPACED else ""
    return re.compile(f"{before}{re.escape(key)}{after}")
