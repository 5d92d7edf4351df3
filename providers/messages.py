"""Messages as pure values: what people and personas said, without a database or a wire behind them."""

from enum import StrEnum
from uuid import UUID

import msgspec


class Role(StrEnum):
    """Who speaks, as both model families name it."""

    system = "system"
    user = "user"
    assistant = "assistant"


class Message(msgspec.Struct, frozen=True):
    """One message as it is sent to a model."""

    role: Role
    content: str


class HistoryMessage(msgspec.Struct, frozen=True):
    """One stored message of a chat, with what an assembler must know of it.

    `tokens` is the count stored at insert, in o200k_base tokens. `usable` is false for replies that never became
    one (failed, filtered, interrupted or empty): they stay in the chat, and out of what is sent.
    """

    id: UUID
    role: Role
    content: str
    tokens: int
    usable: bool = True


class ChatHistory(msgspec.Struct, frozen=True):
    """The stored messages of a chat's active branch, oldest first, from the carried window start on.

    `window_start` is the id of the oldest message that the parent turn kept (None: from the beginning). Messages
    before it were not read, so the cost of a window is what is kept, not what is stored.
    """

    messages: tuple[HistoryMessage, ...] = ()
    window_start: UUID | None = None
