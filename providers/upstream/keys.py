"""Provider keys in memory: secrets that do not show themselves, and the pool of one provider that takes turns.

A key belongs to the origin (scheme, host and port) it was stored for. Where a provider's address was changed since,
its key is not sent there: the key has to be added again.
"""

import hmac
import time
from collections.abc import Callable, Sequence
from typing import NoReturn
from urllib.parse import urlsplit

import msgspec

from providers.errors import CredentialsRefused, NoKey, ProviderError, SpendLimitReached

RATE_LIMIT_REST = 30.0
"""Seconds that a rate-limited key rests when the provider names no time."""

CREDENTIALS_REST = 600.0
"""Seconds that a refused key rests."""

SPEND_LIMIT_REST = 3600.0
"""Seconds that the key of a used-up account rests."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Secret:
    """A string that only `reveal` shows: not its repr, not a format, not a pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not (value and value.isascii() and value.isprintable()) or " " in value:
            raise ValueError("A key consists of visible ASCII characters.")  # anything else breaks a header
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one header it belongs in."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret cannot be pickled.")


class ProviderKey(msgspec.Struct, frozen=True):
    """A key, and the origin it was stored for (None: it may go to whichever origin its provider has)."""

    secret: Secret
    origin: str | None = None


def origin_of(url: str) -> str:
    """`scheme://host:port` of a URL, the port always named.

    Raises `ValueError` for what is no http(s) URL, or for one that carries a user name, a query or a fragment.
    """
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("A provider's address begins with https:// or http:// and names a host.")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("A provider's address holds no user name, query or fragment.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or _DEFAULT_PORTS[parts.scheme]}"


class KeyPool:
    """The keys of one provider, used in turn.

    A key that a failure was blamed on rests for a while. When all of them rest, the one whose rest ends first is
    used all the same, so a pool with a key never runs dry. A pool that is not `required` to hold a key does without
    as long as none was stored. `now` gives seconds that only grow.
    """

    def __init__(
        self,
        provider: str,
        origin: str,
        *,
        key_env: str | None = None,
        required: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._provider = provider
        self._origin = origin
        self._key_env = key_env
        self._required = required
        self._now = now
        self._keys: list[Secret] = []
        self._rests: dict[Secret, float] = {}
        self._foreign = False
        self._next = 0

    def replace(self, keys: Sequence[ProviderKey]) -> None:
        """Hold these keys from now on; those that stay go on resting."""
        own = [key.secret for key in keys if key.origin is None or origin_of(key.origin) == self._origin]
        self._keys = list(dict.fromkeys(own))
        self._rests = {key: until for key, until in self._rests.items() if key in self._keys}
        self._foreign = len(own) < len(keys)

    def take(self) -> Secret | None:
        """The key whose turn it is, None where none is needed. Raises `NoKey`, which says how to add one."""
        count = len(self._keys)
        if count == 1:
            return self._keys[0]
        if not count:
            missing = self.missing()
            if missing is not None:
                raise missing
            return None
        now = self._now()
        for step in range(count):
            place = (self._next + step) % count
            if self._rests.get(self._keys[place], now) <= now:
                self._next = place + 1
                return self._keys[place]
        return min(self._keys, key=self._rests.__getitem__)

    def rest(self, key: Secret, error: ProviderError) -> None:
        """Let a key rest for what `error` says about it."""
        if isinstance(error, CredentialsRefused):
            seconds = CREDENTIALS_REST
        elif isinstance(error, SpendLimitReached):
            seconds = SPEND_LIMIT_REST
        elif error.retry_after is not None:
            seconds = min(error.retry_after, SPEND_LIMIT_REST)
        else:
            seconds = RATE_LIMIT_REST
        if key in self._keys:
            self._rests[key] = self._now() + seconds

    def has_rested_key(self) -> bool:
        """Whether some key is not resting."""
        now = self._now()
        return any(self._rests.get(key, now) <= now for key in self._keys)

    def missing(self) -> NoKey | None:
        """The error of a pool without a key that it needs, with a sentence that says what to do."""
        add = f"`gateway keys add {self._provider}`"
        if self._keys:
            return None
        if self._foreign:
            return NoKey(
                f"The key stored for {self._provider!r} belongs to another address than the provider has now: "
                f"add it again with {add}."
            )
        if not self._required:
            return None
        other_way = f" or set {self._key_env}" if self._key_env else ""
        return NoKey(f"There is no key for {self._provider!r}: add one with {add}{other_way}.")
