"""Counting tokens offline, with the o200k_base merge ranks that ship with this package.

tiktoken would fetch the ranks from the network at first use, without a timeout. The packaged file is checked
against the SHA-256 that tiktoken itself expects, so where its bytes came from does not matter.
"""

import base64
import hashlib
import lzma
from functools import cache
from importlib.resources import files

import tiktoken
from tiktoken_ext import openai_public

SLICE = 32_768
"""Characters counted at once. Over a million blanks in a row make tiktoken panic; a slice over-counts by at most
about one token."""

MESSAGE_OVERHEAD = 4
"""Tokens that the chat format adds to each message (role and separators), from OpenAI's own counting recipe."""


def _packaged_ranks(url: str, expected_hash: str | None = None) -> dict[bytes, int]:
    packed = files("providers").joinpath("data", url.rsplit("/", 1)[-1] + ".xz").read_bytes()
    ranks = lzma.decompress(packed)
    if hashlib.sha256(ranks).hexdigest() != expected_hash:
        raise RuntimeError("The packaged token encoding is damaged; install the package again.")
    return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in ranks.splitlines())}


@cache
def encoding() -> tiktoken.Encoding:
    """The o200k_base encoding; the first call takes about 0.3 s and leaves 50 MB, so call it at start-up."""
    ranks: dict[bytes, int] = {}

    def load(url: str, expected_hash: str | None = None) -> dict[bytes, int]:
        ranks.update(_packaged_ranks(url, expected_hash))
        return ranks

    openai_public.load_tiktoken_bpe = load
    made = tiktoken.get_encoding("o200k_base")
    ranks.clear()  # tiktoken encodes with a copy of its own, and would keep these 25 MB for nothing
    return made


def count_tokens(text: str) -> int:
    """How many o200k_base tokens `text` has; control words such as `<|endoftext|>` count as plain text.

    About 50 microseconds a kilobyte; releases the GIL, so texts over 8 kB are best counted in a thread.
    """
    encode = encoding().encode_ordinary
    if len(text) <= SLICE:
        return len(encode(text))
    return sum(len(encode(text[start : start + SLICE])) for start in range(0, len(text), SLICE))
