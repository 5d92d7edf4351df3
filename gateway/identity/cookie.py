"""The login cookie of the built-in page.

`__Host-` makes browsers insist on Secure, Path=/ and no Domain, so no neighbouring host can plant one. Browsers keep
it on https, and on http only for loopback names; elsewhere they drop it without a word.
"""

from datetime import timedelta

from litestar.datastructures import Cookie

NAME = "__Host-gateway_session"

_PREFIX = NAME.encode() + b"="


def session_cookie(header: bytes | None) -> bytes | None:
    """The login token in a `Cookie` header, if there is one."""
    if header is None or _PREFIX not in header:
        return None
    for part in header.split(b";"):
        part = part.strip()
        if part.startswith(_PREFIX):
            return part[len(_PREFIX) :]
    return None


def keep(token: str, lifetime: timedelta) -> Cookie:
    """The cookie that logs a browser in."""
    return _cookie(token, int(lifetime.total_seconds()))


def clear() -> Cookie:
    """The cookie that takes it away."""
    return _cookie("", 0)


def _cookie(value: str, max_age: int) -> Cookie:
    return Cookie(key=NAME, value=value, max_age=max_age, path="/", secure=True, httponly=True, samesite="lax")
