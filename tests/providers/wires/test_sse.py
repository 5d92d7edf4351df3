import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.wires import sse
from providers.wires.sse import LINE_TOO_LONG, RESPONSE_TOO_LONG, Frame, SSESplitter


def split(*reads: bytes, close: bool = True) -> list[Frame]:
    splitter = SSESplitter()
    frames = [frame for read in reads for frame in splitter.feed(read)]
    return frames + (splitter.close() if close else [])


def by_the_standard(stream: bytes) -> list[Frame]:
    """The HTML standard's algorithm, word for word, over the whole stream at once."""
    frames = []
    name, data = b"", []
    for line in [*re.split(rb"\r\n|\r|\n", stream.removeprefix(b"\xef\xbb\xbf")), b""]:
        if line == b"":
            if data:
                frames.append((name, b"\n".join(data)))
            name, data = b"", []
        elif not line.startswith(b":"):
            field, colon, value = line.partition(b":")
            value = value.removeprefix(b" ") if colon else b""
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value
    return frames


PIECES = [b"data: ", b"data:", b"data", b"event: a", b"event:", b": note", b"id: 1", b"retry: 5", b" ", b":", b"{}"]
ENDS = [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n"]
streams = st.builds(
    lambda start, pieces: start + b"".join(pieces),
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xef\xbb"]),
    st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from(ENDS), st.binary(max_size=4)), max_size=30),
)


@st.composite
def cut_streams(draw: st.DrawFn) -> list[bytes]:
    stream = draw(streams)
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[start:end] for start, end in pairwise([0, *cuts, len(stream)])]


@given(cut_streams())
def test_a_stream_cut_anywhere_gives_the_frames_of_the_standard(reads: list[bytes]) -> None:
    assert split(*reads) == by_the_standard(b"".join(reads))


@given(streams)
def test_a_stream_read_byte_by_byte_gives_the_frames_of_the_standard(stream: bytes) -> None:
    assert split(*(stream[i : i + 1] for i in range(len(stream)))) == by_the_standard(stream)


@pytest.mark.parametrize(
    ("stream", "frames"),
    [
        (b"data: a\n\ndata: b\n\n", [(b"", b"a"), (b"", b"b")]),
        (b"data:a\n\n", [(b"", b"a")]),
        (b"data:  a\n\n", [(b"", b" a")]),
        (b"data: a\ndata: b\n\n", [(b"", b"a\nb")]),
        (b"event: x\ndata: a\n\ndata: b\n\n", [(b"x", b"a"), (b"", b"b")]),
        (b"event: x\n\ndata: b\n\n", [(b"", b"b")]),
        (b": ping\n\n: ping\n\n", []),
        (b"\xef\xbb\xbfdata: a\n\n", [(b"", b"a")]),
        (b"data: a\r\rdata: b\r\n\r\n", [(b"", b"a"), (b"", b"b")]),
        ("data: 日本\n\n".encode(), [(b"", "日本".encode())]),
        (b"data: \xff\n\n", [(b"", b"\xff")]),
        (b"data\n\n", [(b"", b"")]),
        (b"", []),
    ],
)
def test_the_rules(stream: bytes, frames: list[Frame]) -> None:
    assert split(stream) == frames


@pytest.mark.parametrize("last", [b"data: b", b"data: b\n", b"data: b\r"])
def test_an_event_without_its_blank_line_is_given_at_the_end_and_not_before(last: bytes) -> None:
    splitter = SSESplitter()
    assert splitter.feed(b"data: a\n\n" + last) == [(b"", b"a")]
    assert splitter.close() == [(b"", b"b")]


@pytest.fixture
def small_caps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_LINE", 12)
    monkeypatch.setattr(sse, "MAX_RESPONSE", 40)


@pytest.mark.usefixtures("small_caps")
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 100])
@pytest.mark.parametrize(
    ("stream", "sentence", "whole"),
    [
        (b"data: a\n\ndata: " + b"x" * 7 + b"\n\ndata: c\n\n", LINE_TOO_LONG, 1),
        (b"data: a\n\ndata: " + b"x" * 6 + b"\n\n", "", 2),
        (b"data: a\n\n" + b"x" * 13, LINE_TOO_LONG, 1),
        (b"data: a\n\n" * 5, RESPONSE_TOO_LONG, 4),
        (b"data: a\r\n\r\n" * 4, RESPONSE_TOO_LONG, 3),
        (b": a\n" * 20, RESPONSE_TOO_LONG, 0),
    ],
)
def test_what_outgrows_a_cap_ends_the_stream_at_the_same_frame_however_it_was_cut(
    stream: bytes, sentence: str, whole: int, size: int
) -> None:
    splitter = SSESplitter()
    frames = [frame for i in range(0, len(stream), size) for frame in splitter.feed(stream[i : i + size])]
    assert (splitter.too_large, len(frames)) == (sentence, whole)
    assert splitter.feed(b"\n\ndata: later\n\n") == [] or not sentence
    assert splitter.close() == []


def test_a_long_line_in_tiny_reads_is_not_copied_at_every_read() -> None:
    splitter = SSESplitter()
    splitter.feed(b"data: ")
    for _ in range(200_000):  # quadratic copying would take a minute here
        splitter.feed(b"xxxx")
    assert splitter.feed(b"\n\n") == [(b"", b"x" * 800_000)]
