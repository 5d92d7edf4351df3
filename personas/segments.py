"""The pieces a Context is made of, and how they become messages."""

from enum import StrEnum
from uuid import UUID

import msgspec

from providers.messages import Message, Role


class Kind(StrEnum):
    """What a segment is for, in the order of sending (lore stands in the prefix or before the message)."""

    system = "system"
    persona = "persona"
    personality = "personality"
    scenario = "scenario"
    lore = "lore"
    example = "example"
    history = "history"
    session = "session"
    message = "message"
    post_history = "post_history"


class Segment(msgspec.Struct, frozen=True, gc=False):
    """One piece of a Context, and the verdict on it.

    `role` and `text` are as sent; `tokens` is the scaled estimate with the overhead of a message. `reason` says why a
    segment was not kept. `joins` marks a segment that shares the message of the one kept before it, `verbatim` one
    whose text is that of the stored message `id`.
    """

    kind: Kind
    id: UUID | str
    role: Role
    tokens: int
    kept: bool = True
    reason: str = ""
    text: str = ""
    joins: bool = False
    verbatim: bool = False


def as_messages(segments: tuple[Segment, ...]) -> tuple[Message, ...]:
    """The kept segments as they are sent: those that share a message are parted by a blank line."""
    messages: list[Message] = []
    parts: list[str] = []
    role = Role.system
    for segment in segments:
        if not segment.kept:
            continue
        if parts and segment.joins:
            parts.append(segment.text)
            continue
        if parts:
            messages.append(Message(role, "\n\n".join(parts)))
        role, parts = segment.role, [segment.text]
    if parts:
        messages.append(Message(role, "\n\n".join(parts)))
    return tuple(messages)
