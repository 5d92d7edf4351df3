"""How much one person may write: whatever may change something spends from one allowance, before its body is read.

So a write that is refused costs as well. A person's logins spend from one allowance and their access tokens from
another, so that who holds a token cannot keep its owner from writing. Requests for turns are counted by themselves in
this process, whatever becomes of them; the turns that are opened, logins and sign-ups have allowances of their own.
"""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from gateway.identity.cross_site import SAFE_METHODS
from gateway.identity.principal import Principal
from gateway.identity.request_rate import RequestRate
from storage.database import Database
from storage.people.allowances import spend

SPENDS_A_TURN = {"spends": "turn"}
"""`opt=SPENDS_A_TURN` marks a route that asks for a turn, which is counted once more where that is opened."""

SPENDS_A_WRITE = {"spends": "write"}
"""`opt=SPENDS_A_WRITE` marks a route that changes nothing, and costs as much as one that does."""

UNCOUNTED = {"spends": "nothing"}
"""`opt=UNCOUNTED` marks a route that takes power away, or asks for the password, which has an allowance of its own:
whoever spent a person's writes must not keep them from it."""


class WriteAllowance:
    """The guard of the whole application; it counts each person by themselves, and their writes across processes."""

    def __init__(self, database: Database, per_minute: int, *, turns_per_minute: int) -> None:
        self._database = database
        self._burst = per_minute
        self._interval = 60 / per_minute
        self._sentence = f"You may write {per_minute} times a minute. Wait a moment."
        self._turn_requests = RequestRate(
            max(per_minute, turns_per_minute), "You ask for turns too often. Wait a moment."
        )

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Spend one write, or one request for a turn, of who is calling. Raises `AllowanceSpent`, `TooManyRequests`."""
        caller = connection.scope["user"]
        if not isinstance(caller, Principal):
            return
        spends = handler.opt.get("spends", "nothing" if connection.scope.get("method") in SAFE_METHODS else "write")
        spender = f"{'logins' if caller.scopes is None else 'tokens'}:{caller.user_id}"
        if spends == "turn":
            self._turn_requests.spend(spender)
        elif spends == "write":
            await self._database.write(
                spend,
                f"writes:{spender}",
                burst=self._burst,
                interval=self._interval,
                sentence=self._sentence,
            )
