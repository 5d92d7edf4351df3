"""Opaque tokens: `gw_<kind>_<43 base62 of randomness><6 base62 of CRC32>`, and the one-time set-up code.

The prefix lets scanners find a leaked token and the checksum refuses a mistyped one without asking the database.
256 bits of randomness need no salt and no slow hash: SHA-256 is stored, the token itself is shown once.
"""

import hashlib
import secrets
import string
import zlib
from enum import StrEnum

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM = 43
_CHECKSUM = 6
_UNAMBIGUOUS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
_CODE_GROUPS = 4
_CODE_GROUP = 4


class TokenKind(StrEnum):
    """What a token is for."""

    login = "ses"
    access = "pat"


_PREFIXES = {kind: f"gw_{kind}_" for kind in TokenKind}
_LENGTH = {len(prefix) for prefix in _PREFIXES.values()}.pop() + _RANDOM + _CHECKSUM
_KINDS = {prefix: kind for kind, prefix in _PREFIXES.items()}
_PREFIX_LENGTH = _LENGTH - _RANDOM - _CHECKSUM


def new_token(kind: TokenKind) -> str:
    """A new token with 256 bits of randomness."""
    body = _PREFIXES[kind] + "".join(secrets.choice(_BASE62) for _ in range(_RANDOM))
    return body + _checksum(body)


def kind_of(token: str) -> TokenKind | None:
    """What the token is for, or None when its form or its checksum is wrong."""
    if len(token) != _LENGTH or not token.isascii():
        return None
    kind = _KINDS.get(token[:_PREFIX_LENGTH])
    return kind if kind is not None and token[-_CHECKSUM:] == _checksum(token[:-_CHECKSUM]) else None


def hash_token(token: str) -> bytes:
    """What is stored in place of the token."""
    return hashlib.sha256(token.encode()).digest()


def display_of(token: str) -> str:
    """The first characters of the random part, by which a person tells one token from another."""
    return token[: _PREFIX_LENGTH + 4]


def new_setup_code() -> str:
    """A one-time code to be read from a terminal and typed: `ABCD-EFGH-JKMN-PQRS`, 79 bits."""
    groups = ("".join(secrets.choice(_UNAMBIGUOUS) for _ in range(_CODE_GROUP)) for _ in range(_CODE_GROUPS))
    return "-".join(groups)


def hash_setup_code(code: str) -> bytes:
    """What is stored in place of the code, whatever the case and the hyphens it was typed with."""
    return hashlib.sha256("".join(filter(str.isalnum, code.upper())).encode()).digest()


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = []
    for _ in range(_CHECKSUM):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
