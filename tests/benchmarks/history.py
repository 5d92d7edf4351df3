"""Long chats without the time that talking takes: messages written straight into the database."""

import asyncio
from uuid import UUID

from sqlalchemy import Connection

from providers.messages import Role
from storage.chats.chat_sessions import set_active_leaf
from storage.conversations.messages import add_messages, message_row, take_seq
from storage.database import open_database
from storage.database.columns import new_id

AT_ONCE = 5_000
KEPT = 20
"""Messages of the window as the last turn left it."""


def fill_chat(database: str, chat_id: str, sender: str, count: int) -> None:
    """Add this many messages to a chat that has none, as its turns would have left them."""
    asyncio.run(_fill(database, UUID(chat_id), UUID(sender), count))


async def _fill(address: str, chat_id: UUID, sender: UUID, count: int) -> None:
    database = await open_database(address)
    try:
        ids: list[UUID] = []
        while len(ids) < count:
            await database.write(_add, chat_id, sender, ids, min(AT_ONCE, count - len(ids)))
    finally:
        await database.close()


def _add(connection: Connection, chat_id: UUID, sender: UUID, ids: list[UUID], count: int) -> None:
    """Append messages by turns of the person and the persona. `ids` are the earlier ones, and get the new ones."""
    first = take_seq(connection, chat_id, count)
    rows = []
    for number in range(count):
        is_reply = len(ids) % 2 == 1
        ids.append(new_id())
        rows.append(
            message_row(
                id=ids[-1],
                conversation_id=chat_id,
                seq=first + number,
                role=Role.assistant if is_reply else Role.user,
                content="The sea is calm today, and two boats are on their way to the harbour. "
                * (3 if is_reply else 1),
                tokens=50 if is_reply else 17,
                parent_id=ids[-2] if len(ids) > 1 else None,
                sender_id=None if is_reply else sender,
                persona="mia" if is_reply else None,
                window_start=ids[-KEPT] if len(ids) > KEPT else None,
            )
        )
    add_messages(connection, *rows)
    set_active_leaf(connection, chat_id, ids[-1])
