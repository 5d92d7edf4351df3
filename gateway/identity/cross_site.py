"""Requests that another site's page made a browser send, told from our own (Fetch Metadata, then Origin).

Only a cookie travels unasked, so only requests that a cookie authenticates are in danger, and with them login and
sign-up, by which a victim could be put into the attacker's account. For those:

1. `Origin` is one that the operator trusts (`GATEWAY_CORS_ORIGINS`): allowed. Pages cannot forge it, and a frontend
   elsewhere must be able to log in.
2. `Sec-Fetch-Site` is there: it must be `same-origin`, or `none` (typed by the person). `same-site` is refused:
   a neighbouring subdomain is not us.
3. It is absent, as in old browsers and on plain http off loopback: `Origin`, which browsers send with every unsafe
   method and with WebSockets, must be the request's own.
4. Both are absent: no browser that could be abused sends this. A program without our cookie has nothing of
   anybody's to misuse and is allowed; one with it could send the token as a Bearer, so it is refused.
"""

from collections.abc import Collection

from litestar.types import Scope

from gateway.errors import CrossSite
from gateway.identity.cookie import session_cookie

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_OWN = (b"same-origin", b"none")


def require_same_origin(scope: Scope, trusted: Collection[str]) -> None:
    """Raise `CrossSite` unless the request comes from our own page, a trusted one, or no browser."""
    headers = dict(scope["headers"])
    origin = headers.get(b"origin")
    if origin is not None and origin.decode("latin-1") in trusted:
        return
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        allowed = site in _OWN
    elif origin is not None:
        allowed = origin == _own_origin(scope, headers)
    else:
        allowed = session_cookie(headers.get(b"cookie")) is None
    if not allowed:
        raise CrossSite("This request came from another site's page. Use the gateway's own page, or an access token.")


def _own_origin(scope: Scope, headers: dict[bytes, bytes]) -> bytes:
    scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
    return scheme.encode() + b"://" + headers.get(b"host", b"")
