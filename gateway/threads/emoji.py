"""What counts as an emoji in a reaction."""

from unicodedata import category

from gateway.errors import InvalidInput

LONGEST = 16
"""Code points: families, flags of regions and skin tones are sequences of them."""

_MARKS = "\ufe0f\u20e3"
"""The variation selector and the keycap, which make an emoji of a character that is none by itself."""

_PARTS = {"So", "Sk", "Sm", "Po", "Nd", "Mn", "Me", "Cf"}
"""The categories of Unicode that emoji sequences are made of; letters and blanks are not among them."""


def require_emoji(emoji: str) -> str:
    """The emoji as it came. Raises `InvalidInput` for anything else."""
    categories = {category(character) for character in emoji}
    is_one = categories <= _PARTS and ("So" in categories or any(mark in emoji for mark in _MARKS))
    if not is_one or len(emoji) > LONGEST:
        raise InvalidInput("This is not an emoji. React with one, percent-encoded in the address.")
    return emoji
