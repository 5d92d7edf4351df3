"""What people write: checked before it is counted or stored."""

import asyncio
from typing import Annotated

import msgspec

from gateway.errors import InvalidInput
from providers.tokens import count_tokens

COUNTED_INLINE = 8_192
"""Characters up to which tokens are counted on the event loop (0.4 ms); longer texts are counted in a thread."""

_WITHOUT_NUL = r"^[^\x00]*$"
"""PostgreSQL cannot store the NUL character."""

Title = Annotated[str, msgspec.Meta(max_length=200, pattern=_WITHOUT_NUL)]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=_WITHOUT_NUL)]


def require_text(content: str, pointer: str = "/content") -> str:
    """The text as it came. Raises `InvalidInput` for an empty one, and for NUL, which PostgreSQL cannot store."""
    if not content.strip():
        raise InvalidInput("Say something: the text is empty.", errors=[{"pointer": pointer, "message": "is empty"}])
    if "\0" in content:
        raise InvalidInput(
            "The text holds a NUL character, which cannot be stored. Remove it.",
            errors=[{"pointer": pointer, "message": "holds a NUL character"}],
        )
    return content


async def tokens_of(content: str) -> int:
    """The o200k_base tokens of a text, off the event loop when it is long."""
    if len(content) <= COUNTED_INLINE:
        return count_tokens(content)
    return await asyncio.to_thread(count_tokens, content)
