"""Reading a window: bounded by messages and by size, whatever a chat holds."""

import pytest
from sqlalchemy import Connection

from providers.messages import Role
from storage.chats.chats import create_chat
from storage.conversations.messages import LARGEST_WINDOW, add_messages, message_row, read_window, take_seq
from storage.database import Database
from storage.database.columns import new_id
from storage.people.users import create_user

pytestmark = pytest.mark.anyio


def sizes_read(connection: Connection, sizes: list[int]) -> list[int]:
    """The sizes of those messages of a branch that its window has."""
    ada = create_user(connection, username="ada", email="ada@example.org", password_hash="x")
    chat_id = create_chat(connection, ada.id, persona="mia").id
    first = take_seq(connection, chat_id, len(sizes))
    parent = None
    for number, size in enumerate(sizes):
        row = message_row(
            id=new_id(),
            conversation_id=chat_id,
            seq=first + number,
            role=Role.user,
            content="x" * size,
            tokens=1,
            parent_id=parent,
        )
        add_messages(connection, row)
        parent = row["id"]
    return [len(message.content) for message in read_window(connection, chat_id, parent, None)]


async def test_a_window_is_bounded_by_its_size(database: Database) -> None:
    third = LARGEST_WINDOW // 3 + 1
    assert await database.write(sizes_read, [10, third, third, third, 20]) == [third, third, third, 20]


async def test_one_message_is_read_however_long_it_is(database: Database) -> None:
    assert await database.write(sizes_read, [10, LARGEST_WINDOW + 1]) == [LARGEST_WINDOW + 1]
