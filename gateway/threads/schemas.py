"""The shapes of threads over HTTP. What is asked is strict: an unknown field is an error."""

from typing import Annotated

import msgspec

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
