"""Envelope encryption of the secrets that we have to be able to read again. Pure: no database, no files.

Each value is sealed by AES-256-GCM under a data key of its own, and the data key under a subkey of a master key
(HKDF-SHA256, one subkey a purpose). Both are bound to the place of the value: its purpose, row, field and the upstream
it may go to. So a sealed value that is moved to another row, or whose row is pointed at another upstream, does not
open; and a new master key re-seals the data keys without a look at the values. Fernet would bind nothing.

    gwe1.<id of the master key>.<nonce and sealed data key>.<nonce and sealed value>
"""

import hashlib
import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.errors import WrongKey

FORMAT = "gwe1"
KEY_BYTES = 32
NONCE_BYTES = 12


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a sealed value belongs; it opens nowhere else. `origin` is `scheme://host:port` of the upstream."""

    purpose: str
    row: UUID
    field: str
    origin: str

    def bound(self) -> bytes:
        """The place in bytes. Each part has its length before it, so that no two places look alike."""
        parts = [part.encode() for part in (FORMAT, self.purpose, str(self.row), self.field, self.origin)]
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


class Vault:
    """Seals with the first of its master keys and opens with any of them. Raises `WrongKey` for what does not open."""

    def __init__(self, master_keys: Sequence[bytes]) -> None:
        if not master_keys or any(len(key) != KEY_BYTES for key in master_keys):
            raise ValueError(f"A vault needs master keys of {KEY_BYTES} bytes each.")
        self._masters = {master_id(key): key for key in reversed(master_keys)}
        self.primary = master_id(master_keys[0])

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the master keys at hand."""
        return frozenset(self._masters)

    def seal(self, value: str, place: Place) -> str:
        """The envelope of a value, under the primary master key and a new data key."""
        data_key = AESGCM.generate_key(256)
        sealed = _encrypt(data_key, value.encode(), place)
        return self._envelope(data_key, place, sealed)

    def open(self, envelope: str, place: Place) -> str:
        """The value of an envelope that was sealed for this place."""
        master, wrapped, sealed = _parts(envelope)
        return _decrypt(self._data_key(master, wrapped, place), sealed, place).decode()

    def rewrap(self, envelope: str, place: Place) -> str:
        """The same envelope under the primary master key; the value in it stays sealed."""
        master, wrapped, sealed = _parts(envelope)
        if master == self.primary:
            return envelope
        return self._envelope(self._data_key(master, wrapped, place), place, sealed)

    def fingerprint(self, value: str, master: str | None = None) -> str:
        """Twelve hex digits that tell values apart and do not lead back to them, under the primary or a named master
        key; comparable only under the same one."""
        key = _subkey(self._master(master or self.primary), "fingerprint")
        return hmac.digest(key, value.encode(), "sha256").hex()[:12]

    def _envelope(self, data_key: bytes, place: Place, sealed: bytes) -> str:
        wrapping_key = _subkey(self._masters[self.primary], f"seal/{place.purpose}")
        wrapped = _encrypt(wrapping_key, data_key, place)
        return ".".join((FORMAT, self.primary, _text(wrapped), _text(sealed)))

    def _data_key(self, master: str, wrapped: bytes, place: Place) -> bytes:
        return _decrypt(_subkey(self._master(master), f"seal/{place.purpose}"), wrapped, place)

    def _master(self, master: str) -> bytes:
        if master not in self._masters:
            raise WrongKey("This value is sealed under a master key that is not at hand.")
        return self._masters[master]


def master_id(master_key: bytes) -> str:
    """What a master key is called where it may be seen: the beginning of a hash of it."""
    return hashlib.sha256(b"gateway/v1/master-key-id" + master_key).hexdigest()[:12]


def _subkey(master_key: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"gateway/v1/{purpose}".encode()).derive(master_key)


def _encrypt(key: bytes, plain: bytes, place: Place) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, place.bound())


def _decrypt(key: bytes, sealed: bytes, place: Place) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.bound())
    except (InvalidTag, ValueError):  # changed, moved or cut short
        raise WrongKey("This value was changed, or was sealed for another place.") from None


def _parts(envelope: str) -> tuple[str, bytes, bytes]:
    """The id of the master key, the sealed data key and the sealed value."""
    match envelope.split("."):
        case [tag, master, wrapped, sealed] if tag == FORMAT:
            return master, _bytes(wrapped), _bytes(sealed)
    raise WrongKey("This value is not sealed in a form that this version knows.")


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """The bytes of a text. Only the one spelling that `_text` gives is read: base64 has more for the same bytes."""
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        data = b""
    if _text(data) != text:
        raise WrongKey("This value is not sealed in a form that this version knows.")
    return data
