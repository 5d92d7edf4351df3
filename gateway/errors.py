"""What the gateway refuses, and why; no framework. How it is answered stands in `problems.py`.

GatewayError
├── Unauthenticated       nobody, or not proven: 401
├── NotPermitted          known, and not allowed: 403
├── CrossSite             a browser was made to send this by another site: 403
├── SignupClosed          strangers may not sign up: 403
├── InvalidInput          the request cannot be meant so: 400
│   └── MessageTooLong    the message alone exceeds the Context's budget: 413
├── PersonaUnavailable    the chat's persona is gone, or not theirs any more: 409
├── TooManyRequests       a limit is reached: 429
└── Unavailable           stopping, loading, or too busy: 503
"""

from typing import Any


class GatewayError(Exception):
    """A request that is refused; `code` is stable, the message is a sentence for people."""

    code = "gateway-error"

    def __init__(self, message: str, *, retry_after: float | None = None, **extra: Any) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.extra = extra


class Unauthenticated(GatewayError):
    """The request says not, or not believably, who makes it."""

    code = "unauthenticated"


class NotPermitted(GatewayError):
    """Who makes the request is known, and may not."""

    code = "not-permitted"


class CrossSite(GatewayError):
    """A page of another site made a browser send this."""

    code = "cross-site"


class SignupClosed(GatewayError):
    """Strangers may not sign up here."""

    code = "signup-closed"


class InvalidInput(GatewayError):
    """The request cannot be meant so; `errors` points at what is wrong: `[{pointer, message}]`."""

    code = "invalid-input"


class MessageTooLong(InvalidInput):
    """The message alone exceeds the budget of the Context."""

    code = "message-too-long"


class PersonaUnavailable(GatewayError):
    """The chat's persona was removed, or is not for this person any more; the chat can be read."""

    code = "persona-unavailable"


class TooManyRequests(GatewayError):
    """A limit is reached."""

    code = "rate-limited"


class Unavailable(GatewayError):
    """Not now: the gateway is stopping, or too busy."""

    code = "unavailable"
