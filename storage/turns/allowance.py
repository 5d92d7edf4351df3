"""How many turns one person may ask: spent by those that are opened, and by those that are refused on the way."""

from uuid import UUID

from sqlalchemy import Connection

from storage.people.allowances import spend


def spend_turn(connection: Connection, user_id: UUID, per_minute: int) -> None:
    """Use one of the turns that a person may ask a minute. Raises `AllowanceSpent` when none is left."""
    spend(
        connection,
        f"turns:{user_id}",
        burst=per_minute,
        interval=60 / per_minute,
        sentence=f"You may ask {per_minute} turns a minute. Wait a moment.",
    )
