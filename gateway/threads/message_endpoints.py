"""What is said in threads over HTTP: reading and saying, editing, taking back, hiding."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Router, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from gateway.http.paging import DEFAULT, Page, PageLimit, decode_cursor, encode_cursor, one_direction, page, page_of
from gateway.identity.guards import requires
from gateway.identity.principal import Principal
from gateway.policy import Permission
from gateway.text import tokens_of
from gateway.threads.emoji import require_emoji
from gateway.threads.schemas import MessagePatch, NewThreadMessage, text_of
from storage.database import Database
from storage.threads.messages import (
    MessagePage,
    Revision,
    ThreadMessage,
    list_messages,
    list_pinned,
    list_replies,
    list_revisions,
)
from storage.threads.reading import note_access
from storage.threads.writing import delete_message, edit_message, hide_message, pin_message, post_message, react

Caller = Request[Principal, Any, Any]

Number = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


@post("/threads/{thread_id:uuid}/messages", guards=[requires(Permission.threads_write)])
async def say_in_thread(
    request: Caller, thread_id: FromPath[UUID], data: JSONBody[NewThreadMessage], database: NamedDependency[Database]
) -> ThreadMessage:
    """Say something in a thread, or reply to a message of it."""
    content = text_of(data)
    tokens = await tokens_of(content)
    return await database.write(
        post_message, request.user.user_id, thread_id, content=content, tokens=tokens, parent_id=data.parent_id
    )


@get("/threads/{thread_id:uuid}/messages", guards=[requires(Permission.threads_read)])
async def read_thread_messages(
    request: Caller,
    thread_id: FromPath[UUID],
    database: NamedDependency[Database],
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: PageLimit = DEFAULT,
) -> Page[ThreadMessage]:
    """A thread, oldest first: its newest messages, or those before or after a cursor."""
    one_direction(after, before)
    found = await database.read(
        list_messages,
        request.user.user_id,
        thread_id,
        after=decode_cursor(after, Number),
        before=decode_cursor(before, Number),
        limit=limit,
    )
    told = _page(found, after, before, from_end=True)
    newest = told.data[-1].id if told.data else None
    await database.write(note_access, request.user.user_id, thread_id, newest)
    return told


@get("/messages/{message_id:uuid}/replies", guards=[requires(Permission.threads_read)])
async def read_replies(
    request: Caller,
    message_id: FromPath[UUID],
    database: NamedDependency[Database],
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: PageLimit = DEFAULT,
) -> Page[ThreadMessage]:
    """The replies to a message of a thread, oldest first."""
    one_direction(after, before)
    found = await database.read(
        list_replies,
        request.user.user_id,
        message_id,
        after=decode_cursor(after, Number),
        before=decode_cursor(before, Number),
        limit=limit,
    )
    told = _page(found, after, before, from_end=False)
    if told.data:
        newest = told.data[-1]
        await database.write(note_access, request.user.user_id, newest.thread_id, newest.id)
    return told


def _page(found: MessagePage, after: str | None, before: str | None, *, from_end: bool) -> Page[ThreadMessage]:
    return page_of(
        found.messages,
        found.more,
        lambda message: encode_cursor(message.seq),
        after=after,
        before=before,
        view=lambda message: message,
        from_end=from_end,
    )


@patch("/messages/{message_id:uuid}", guards=[requires(Permission.threads_write)])
async def patch_message(
    request: Caller, message_id: FromPath[UUID], data: JSONBody[MessagePatch], database: NamedDependency[Database]
) -> ThreadMessage:
    """Say one's message in other words; what it said can be read in its revisions."""
    content = text_of(data)
    tokens = await tokens_of(content)
    return await database.write(edit_message, request.user.user_id, message_id, content=content, tokens=tokens)


@delete("/messages/{message_id:uuid}", guards=[requires(Permission.threads_write)])
async def take_message_back(request: Caller, message_id: FromPath[UUID], database: NamedDependency[Database]) -> None:
    """Take one's message back: its text and revisions are gone, a placeholder stays."""
    await database.write(delete_message, request.user.user_id, message_id)


@get("/messages/{message_id:uuid}/revisions", guards=[requires(Permission.threads_read)])
async def read_revisions(
    request: Caller,
    message_id: FromPath[UUID],
    database: NamedDependency[Database],
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: PageLimit = DEFAULT,
) -> Page[Revision]:
    """What a message said before its edits, oldest first, for who may read it."""
    one_direction(after, before)
    found = await database.read(
        list_revisions,
        request.user.user_id,
        message_id,
        after=decode_cursor(after, Number),
        before=decode_cursor(before, Number),
        limit=limit + 1,
    )
    return page(
        found,
        limit,
        lambda revision: encode_cursor(revision.number),
        after=after,
        before=before,
        view=lambda revision: revision,
    )


@put("/messages/{message_id:uuid}/hidden", guards=[requires(Permission.threads_write)])
async def hide(request: Caller, message_id: FromPath[UUID], database: NamedDependency[Database]) -> ThreadMessage:
    """Hide a message from all but its sender and the moderators; for moderators, and audited."""
    return await database.write(hide_message, request.user.user_id, message_id, hidden=True)


@delete("/messages/{message_id:uuid}/hidden", guards=[requires(Permission.threads_write)])
async def show_again(request: Caller, message_id: FromPath[UUID], database: NamedDependency[Database]) -> None:
    """Show a hidden message again; for moderators, and audited."""
    await database.write(hide_message, request.user.user_id, message_id, hidden=False)


@get("/threads/{thread_id:uuid}/pinned", guards=[requires(Permission.threads_read)])
async def read_pinned(
    request: Caller, thread_id: FromPath[UUID], database: NamedDependency[Database]
) -> Page[ThreadMessage]:
    """The pinned messages of a thread, the latest pinned first."""
    return Page(await database.read(list_pinned, request.user.user_id, thread_id), next=None, prev=None)


@put("/messages/{message_id:uuid}/pinned", guards=[requires(Permission.threads_write)])
async def pin(request: Caller, message_id: FromPath[UUID], database: NamedDependency[Database]) -> ThreadMessage:
    """Pin a message for all who see the thread; for moderators."""
    return await database.write(pin_message, request.user.user_id, message_id, pinned=True)


@delete("/messages/{message_id:uuid}/pinned", guards=[requires(Permission.threads_write)])
async def unpin(request: Caller, message_id: FromPath[UUID], database: NamedDependency[Database]) -> None:
    """Unpin a message; for moderators."""
    await database.write(pin_message, request.user.user_id, message_id, pinned=False)


@put("/messages/{message_id:uuid}/reactions/{emoji:str}", guards=[requires(Permission.threads_write)])
async def put_reaction(
    request: Caller, message_id: FromPath[UUID], emoji: FromPath[str], database: NamedDependency[Database]
) -> ThreadMessage:
    """React to a message with an emoji."""
    return await database.write(react, request.user.user_id, message_id, require_emoji(emoji), given=True)


@delete("/messages/{message_id:uuid}/reactions/{emoji:str}", guards=[requires(Permission.threads_write)])
async def remove_reaction(
    request: Caller, message_id: FromPath[UUID], emoji: FromPath[str], database: NamedDependency[Database]
) -> None:
    """Take one's reaction back."""
    await database.write(react, request.user.user_id, message_id, require_emoji(emoji), given=False)


router = Router(
    "/api",
    route_handlers=[
        say_in_thread,
        read_thread_messages,
        read_replies,
        patch_message,
        take_message_back,
        read_revisions,
        hide,
        show_again,
        read_pinned,
        pin,
        unpin,
        put_reaction,
        remove_reaction,
    ],
    tags=["threads"],
)
