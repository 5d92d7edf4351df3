"""Browsers that logged in to an account before, each with login attempts of its own (OWASP calls it a device cookie).

Who fails on purpose spends what all unknown devices share, and locks nobody out who was here before. The cookie is a
random name with its HMAC under the account's password hash: nothing is stored, one account's cookie is of no use at
another, and a change of the password ends them all.
"""

import hmac
import secrets


def new_device(password_hash: str) -> str:
    """The value of a cookie for a browser that has just proven the password of this hash."""
    name = secrets.token_hex(16)
    return f"{name}.{_mac(name, password_hash)}"


def known_device(value: str | None, password_hash: str | None) -> str | None:
    """The device's name, if the cookie was made for the account of this hash; None stands for nobody's account."""
    name, _, mac = (value or "").partition(".")
    is_ours = hmac.compare_digest(mac.encode(), _mac(name, password_hash or "").encode())
    return name if is_ours and password_hash is not None else None


def _mac(name: str, password_hash: str) -> str:
    return hmac.digest(password_hash.encode(), f"device {name}".encode(), "sha256").hex()
