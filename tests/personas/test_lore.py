"""When lore is called for."""

import pytest

from personas.lore import triggered_entries
from personas.persona import Lorebook, LoreEntry


def asked(keys: tuple[str, ...], newest: str, older: list[str] | None = None, depth: int = 4) -> bool:
    book = Lorebook(id="book", entries=(LoreEntry(id="entry", content="x", keys=keys),), scan_depth=depth)
    return bool(triggered_entries(book, newest, older or []))


@pytest.mark.parametrize(
    ("key", "text", "found"),
    [
        ("cat", "Where is the CAT?", True),
        ("cat", "concatenate", False),
        ("money back", "I want my money back!", True),
        ("straße", "In der STRASSE", True),
        ("c++", "I write c++ daily", True),
        ("退款", "我要退款吗", True),
        ("é", "café", False),
        (".*", "anything", False),
    ],
)
def test_keys_are_whole_words_where_words_are_parted(key: str, text: str, found: bool) -> None:
    assert asked((key,), text) is found


def test_only_the_newest_messages_are_searched() -> None:
    assert asked(("cat",), "and?", ["dog", "cat"], depth=3)
    assert not asked(("cat",), "and?", ["dog", "cat"], depth=2)


def test_constant_entries_are_not_called_for() -> None:
    book = Lorebook(id="book", entries=(LoreEntry(id="entry", content="x", always=True),))
    assert triggered_entries(book, "x", []) == []
