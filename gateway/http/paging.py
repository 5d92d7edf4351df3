"""Lists in pages: opaque cursors both ways, and a limit that is capped."""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from gateway.errors import InvalidInput

T = TypeVar("T")
V = TypeVar("V")

MOST = 100
"""Items of a page at most."""

DEFAULT = 50

PageLimit = Annotated[int, QueryParameter(ge=1, le=MOST)]
"""The query parameter `limit`."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Moment = tuple[Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999_999)], UUID]
"""Microseconds since 1970, up to the last that a date can say, and the row's id."""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list; `next` and `prev` are cursors for `?after=` and `?before=`, None where the list ends."""

    data: list[T]
    next: str | None
    prev: str | None


def encode_cursor(place: Any) -> str:
    """An opaque cursor for a place in an order."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode()


def decode_cursor(cursor: str | None, kind: Any) -> Any:
    """The place that a cursor stands for. Raises `InvalidInput` for one that was not made here."""
    if cursor is None:
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor.encode() + b"=="), type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise InvalidInput("This cursor is not valid. Take it from `next` or `prev` of an earlier page.") from None


def encode_moment(moment: datetime, id: UUID) -> str:
    """An opaque cursor for a row in the order of a time, where the id tells rows of the same time apart."""
    return encode_cursor(((moment - _EPOCH) // timedelta(microseconds=1), id))


def read_moment(cursor: str | None) -> tuple[datetime, UUID] | None:
    """The time and id of a cursor made by `encode_moment`. Raises `InvalidInput` for any other."""
    place = decode_cursor(cursor, _Moment)
    return None if place is None else (_EPOCH + timedelta(microseconds=place[0]), place[1])


def one_direction(after: str | None, before: str | None) -> None:
    """Raise `InvalidInput` when both directions are asked for."""
    if after is not None and before is not None:
        raise InvalidInput("Give either `after` or `before`, not both.")


def page(
    found: Sequence[T],
    limit: int,
    place: Callable[[T], str],
    *,
    after: str | None,
    before: str | None,
    view: Callable[[T], V],
) -> Page[V]:
    """A page from a query that asked for one item more than `limit`, to know whether the list goes on."""
    items = found[:limit] if before is None else found[-limit:]
    return page_of(items, len(found) > limit, place, after=after, before=before, view=view)


def page_of(
    items: Sequence[T],
    more: bool,
    place: Callable[[T], str],
    *,
    after: str | None,
    before: str | None,
    view: Callable[[T], V],
    from_end: bool = False,
) -> Page[V]:
    """A page of these items; `more` says whether the list goes on in the direction of reading.

    `from_end` says that without a cursor it is read from its end.
    """
    if before is not None or (from_end and after is None):
        has_next, has_prev = before is not None, more
    else:
        has_next, has_prev = more, after is not None
    return Page(
        data=[view(item) for item in items],
        next=place(items[-1]) if items and has_next else None,
        prev=place(items[0]) if items and has_prev else None,
    )
