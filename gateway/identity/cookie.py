"""The cookies of the built-in page: its login, and the device that it runs on.

`__Host-` makes browsers insist on Secure, Path=/ and no Domain, so no neighbouring host can plant one. Browsers keep
it on https, and on http only for loopback names; elsewhere they drop it without a word.
"""

from datetime import timedelta

from litestar.datastructures import Cookie

NAME = "__Host-gateway_session"
DEVICE = "__Host-gateway_device"

_DEVICE_KEPT = timedelta(days=400)
"""As long as browsers keep any cookie."""

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
    return _cookie(NAME, token, lifetime)


def clear() -> Cookie:
    """The cookie that takes it away."""
    return _cookie(NAME, "", timedelta(0))


def keep_device(device: str) -> Cookie:
    """The cookie by which a browser is known again; see `known_device.py`."""
    return _cookie(DEVICE, device, _DEVICE_KEPT)


def _cookie(key: str, value: str, lifetime: timedelta) -> Cookie:
    seconds = int(lifetime.total_seconds())
    return Cookie(key=key, value=value, max_age=seconds, path="/", secure=True, httponly=True, samesite="lax")
