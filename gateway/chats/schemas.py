"""The shapes of chats over HTTP. What is asked is strict: an unknown field is an error."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from gateway.text import Label, Title
from gateway.turns.views import ErrorView
from storage.chats.chats import Chat
from storage.conversations.conversations import MemberRole
from storage.conversations.messages import BranchMessage, MessageState


class NewChat(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A chat to be opened. `greeting` is the place of one of the persona's greetings, from 0; `data` is sent with each
    turn; `participants` are ids of people who take part."""

    persona: str
    greeting: Annotated[int, msgspec.Meta(ge=0)] | None = None
    title: Title = ""
    channel: Label = "web"
    data: dict[str, Any] | str | None = None
    participants: Annotated[tuple[UUID, ...], msgspec.Meta(max_length=50)] = ()


class ChatChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What may be changed of a chat; what is left out stays. `active_leaf` switches to the newest branch through
    that message."""

    title: Title | msgspec.UnsetType = msgspec.UNSET
    active_leaf: UUID | msgspec.UnsetType = msgspec.UNSET


class ChatView(msgspec.Struct, frozen=True, kw_only=True):
    """A chat. `role` is the reader's; `read_only` says that its persona cannot be asked any more."""

    id: UUID
    title: str
    persona: str
    channel: str
    owner_id: UUID
    role: MemberRole
    active_leaf: UUID | None
    running_turn: UUID | None
    read_only: bool
    created_at: datetime
    updated_at: datetime


class NewMessage(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a person says. `parent_id` left out continues the active branch; null starts at the root."""

    content: str
    parent_id: UUID | msgspec.UnsetType | None = msgspec.UNSET


class MessageView(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a chat's branch; `siblings` are all messages with the same parent, oldest first. `html` comes
    with `?render=html`."""

    id: UUID
    chat_id: UUID
    seq: int
    role: str
    content: str
    state: MessageState
    parent_id: UUID | None
    turn_id: UUID | None
    sender_id: UUID | None
    persona: str | None
    persona_digest: str | None
    model: str | None
    tokens: int
    sent_at: datetime
    siblings: tuple[UUID, ...]
    error: ErrorView | None
    html: str | msgspec.UnsetType = msgspec.UNSET


class SessionData(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A chat's data, a text or an object; sent with each turn as one segment."""

    data: dict[str, Any] | str


class ContextView(msgspec.Struct, frozen=True):
    """A chat's data, and the manifest of what a next turn would be sent (None where none can be asked)."""

    data: dict[str, Any] | str
    next: dict[str, Any] | None


class HistoryItemView(msgspec.Struct, frozen=True, kw_only=True):
    """One chat in a person's list, by the order in which it came to them."""

    chat_id: UUID
    position: int
    timestamp: datetime


def chat_view(chat: Chat, *, read_only: bool) -> ChatView:
    """A chat as it is answered."""
    return ChatView(**msgspec.structs.asdict(chat), read_only=read_only)


def message_view(chat_id: UUID, message: BranchMessage) -> MessageView:
    """A message as it is answered."""
    fields = msgspec.structs.asdict(message)
    code, sentence = fields.pop("error_code"), fields.pop("error_message")
    return MessageView(chat_id=chat_id, error=None if code is None else ErrorView(code, sentence or ""), **fields)
