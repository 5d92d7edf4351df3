"""The shapes of threads over HTTP. What is asked is strict: an unknown field is an error."""

from typing import Annotated
from uuid import UUID

import msgspec

from gateway.errors import InvalidInput
from gateway.text import require_text
from storage.threads.rows import Visibility

ThreadTitle = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")]
"""A title that says something, without NUL, which PostgreSQL cannot store."""


class NewThread(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A thread to be opened. `visibility` everyone lets anyone signed in read and take part."""

    title: ThreadTitle
    visibility: Visibility = Visibility.members


class ThreadPatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What may be changed of a thread; what is left out stays. In a locked or archived one nobody says anything."""

    title: ThreadTitle | msgspec.UnsetType = msgspec.UNSET
    visibility: Visibility | msgspec.UnsetType = msgspec.UNSET
    locked: bool | msgspec.UnsetType = msgspec.UNSET
    archived: bool | msgspec.UnsetType = msgspec.UNSET


class NewThreadMessage(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a person says, as `content` or, as the templates spell it, `text`; in reply to `parent_id`, if given."""

    content: str | msgspec.UnsetType = msgspec.UNSET
    text: str | msgspec.UnsetType = msgspec.UNSET
    parent_id: UUID | None = None


class MessagePatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The other words of a message, as `content` or `text`."""

    content: str | msgspec.UnsetType = msgspec.UNSET
    text: str | msgspec.UnsetType = msgspec.UNSET


def text_of(data: NewThreadMessage | MessagePatch) -> str:
    """What is said, in whichever spelling. Raises `InvalidInput` for none or both, and for what cannot be stored."""
    given = [(name, text) for name, text in (("content", data.content), ("text", data.text)) if isinstance(text, str)]
    if len(given) != 1:
        raise InvalidInput(
            "Give the text as `content` or as `text`, one of them.",
            errors=[{"pointer": "/content", "message": "is given twice" if given else "is missing"}],
        )
    [(name, text)] = given
    return require_text(text, f"/{name}")


class ReadUpTo(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The newest message that a person has read."""

    message_id: UUID


class AccessReport(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The newest message that a person has seen, if there is one."""

    message_id: UUID | None = None
