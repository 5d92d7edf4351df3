from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import UpstreamUnavailable
from providers.events import Event, Failed, Finished, FinishReason, ReasoningDelta, TextDelta, ToolCallDelta
from providers.upstream.masking import KeyMask

KEY = "sk-skip-sk-canary-5f1d7c"
"""Its beginning stands in it twice more, so that what looks like another key has to be looked at again."""


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def split(text: str, cuts: set[int]) -> list[str]:
    places = [0, *sorted(cut for cut in cuts if 0 < cut < len(text)), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


pieces = st.sampled_from([KEY, KEY[:3], KEY[:5], KEY[:11], KEY[:-1], KEY[4:], "s", "so", " tusk-", "ask-s"])
texts = st.lists(pieces | st.text("sk-ip c5", min_size=1, max_size=4), min_size=1, max_size=6).map("".join)


@given(texts, st.sets(st.integers(1, 200)))
def test_a_key_is_masked_wherever_it_is_split(text: str, cuts: set[int]) -> None:
    mask = KeyMask(KEY)
    told: list[Event] = []
    for piece in split(text, cuts):
        told += mask.masked([TextDelta(piece)])
    told += mask.rest()
    assert text_of(told) == text.replace(KEY, "sk-***")
    assert all(event.text for event in told if isinstance(event, TextDelta))


def test_character_by_character_nothing_beyond_the_beginning_is_told_before_the_end_is_known() -> None:
    mask = KeyMask(KEY)
    told = [text_of(mask.masked([TextDelta(character)])) for character in KEY]
    assert told == ["s", "k", "-", *[""] * (len(KEY) - 4), "***"]


def test_text_that_only_begins_like_a_key_waits_for_the_next_delta_and_no_longer() -> None:
    mask = KeyMask(KEY)
    assert mask.masked([TextDelta("a desk-s")]) == [TextDelta("a desk-")]
    assert mask.masked([TextDelta("ized hole")]) == [TextDelta("sized hole")]
    assert mask.masked([TextDelta("two cats")]) == [TextDelta("two cats")]
    assert mask.masked([TextDelta(" sk")]) == [TextDelta(" sk")]
    assert mask.rest() == []


@pytest.mark.parametrize("end", [Finished(FinishReason.length), Failed(UpstreamUnavailable("It broke off."))])
def test_what_is_held_back_comes_before_the_end(end: Event) -> None:
    mask = KeyMask(KEY)
    assert mask.masked([TextDelta("my desk-s"), end]) == [TextDelta("my desk-"), TextDelta("s"), end]


def test_text_reasoning_and_each_tool_call_are_masked_apart() -> None:
    mask = KeyMask(KEY)
    half, rest = KEY[:9], KEY[9:]
    begun = mask.masked(
        [TextDelta(half), ReasoningDelta(half), ToolCallDelta(0, half, "call_1", "look_up"), ToolCallDelta(1, half)]
    )
    assert begun == [
        TextDelta("sk-"),
        ReasoningDelta("sk-"),
        ToolCallDelta(0, "sk-", "call_1", "look_up"),
        ToolCallDelta(1, "sk-"),
    ]
    ended = mask.masked([ToolCallDelta(1, "?"), ToolCallDelta(0, rest), ReasoningDelta(rest), TextDelta("!")])
    assert ended == [
        ToolCallDelta(1, half[3:] + "?"),
        ToolCallDelta(0, "***"),
        ReasoningDelta("***"),
        TextDelta(half[3:] + "!"),
    ]
