"""The account of a Context: what readers are shown, and the compact form in which a turn stores it.

Stored, a segment is an array without its trailing defaults, and the text of a history message is left out where it
is the text of its row: rows never change, so the account can be made whole from them.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from personas.context import Context
from personas.segments import Kind, Segment, as_messages
from providers.messages import Role


class StoredSegment(msgspec.Struct, frozen=True, array_like=True):
    kind: Kind
    id: str
    role: Role
    tokens: int
    kept: bool = True
    reason: str = ""
    joins: bool = False
    text: str | None = None


class StoredManifest(msgspec.Struct, frozen=True):
    budget: int
    total_tokens: int
    segments: tuple[StoredSegment, ...]


def manifest(context: Context, show: bool = True) -> dict[str, Any]:
    """`{budget, total_tokens, segments: [{kind, id, role, tokens, kept, reason}], messages: [{role, content}]}`.

    Where the prompt is withheld (`show` is false), there are no `messages`, and so no texts.
    """
    return _shown(context.budget, context.total_tokens, context.segments, show)


def stored_manifest(context: Context) -> bytes:
    """The manifest as JSON for a turn's row, without the texts of history messages and the newest one."""
    segments = [_stored(segment) for segment in context.segments]
    return msgspec.json.encode({"budget": context.budget, "total_tokens": context.total_tokens, "segments": segments})


def message_ids(stored: bytes) -> list[UUID]:
    """The rows whose texts `read_manifest` needs to tell the messages as sent."""
    segments = msgspec.json.decode(stored, type=StoredManifest).segments
    return [UUID(segment.id) for segment in segments if segment.kept and segment.text is None]


def read_manifest(stored: bytes, texts: Mapping[UUID, str], show: bool) -> dict[str, Any]:
    """The manifest again, as `manifest` gave it, with the texts of the kept rows from `texts`.

    Raises KeyError for a row whose text is missing, unless the prompt is withheld.
    """
    kept = msgspec.json.decode(stored, type=StoredManifest)
    segments = tuple(
        Segment(
            segment.kind,
            segment.id,
            segment.role,
            segment.tokens,
            segment.kept,
            segment.reason,
            _text(segment, texts) if show and segment.kept else "",
            segment.joins,
        )
        for segment in kept.segments
    )
    return _shown(kept.budget, kept.total_tokens, segments, show)


def _stored(segment: Segment) -> list[Any]:
    text = segment.text if segment.kept and not segment.verbatim else None
    fields = [segment.kind, segment.id, segment.role, segment.tokens, segment.kept, segment.reason, segment.joins, text]
    while len(fields) > 4 and fields[-1] == _DEFAULTS[len(fields) - 5]:
        fields.pop()
    return fields


_DEFAULTS = (True, "", False, None)
"""Of the fields after `tokens`."""


def _text(segment: StoredSegment, texts: Mapping[UUID, str]) -> str:
    return texts[UUID(segment.id)] if segment.text is None else segment.text


def _shown(budget: int, total_tokens: int, segments: tuple[Segment, ...], show: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "budget": budget,
        "total_tokens": total_tokens,
        "segments": [
            {
                "kind": segment.kind.value,
                "id": str(segment.id),
                "role": segment.role.value,
                "tokens": segment.tokens,
                "kept": segment.kept,
                "reason": segment.reason,
            }
            for segment in segments
        ],
    }
    if show:
        told["messages"] = [
            {"role": message.role.value, "content": message.content} for message in as_messages(segments)
        ]
    return told
