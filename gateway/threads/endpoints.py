"""Threads over HTTP: opening, listing, changing and deleting them."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from gateway.http.paging import DEFAULT, Page, PageLimit, encode_moment, one_direction, page, read_moment
from gateway.identity.guards import requires
from gateway.identity.principal import Principal
from gateway.policy import Permission
from gateway.threads.schemas import NewThread, ThreadPatch
from storage.database import Database
from storage.threads.threads import (
    SeenThread,
    ThreadChange,
    change_thread,
    create_thread,
    delete_thread,
    list_threads,
    load_thread,
)

Caller = Request[Principal, Any, Any]


@post("/", guards=[requires(Permission.threads_write)])
async def open_thread(request: Caller, data: JSONBody[NewThread], database: NamedDependency[Database]) -> SeenThread:
    """Open a thread, and be its owner."""
    return await database.write(
        create_thread, request.user.user_id, title=data.title.strip(), visibility=data.visibility
    )


@get("/", guards=[requires(Permission.threads_read)])
async def read_threads(
    request: Caller,
    database: NamedDependency[Database],
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: PageLimit = DEFAULT,
) -> Page[SeenThread]:
    """The threads that one takes part in and those open to everyone, the newest activity first."""
    one_direction(after, before)
    found = await database.read(
        list_threads,
        request.user.user_id,
        after=read_moment(after),
        before=read_moment(before),
        limit=limit + 1,
    )
    return page(
        found,
        limit,
        lambda thread: encode_moment(thread.active_at, thread.id),
        after=after,
        before=before,
        view=lambda thread: thread,
    )


@get("/{thread_id:uuid}", guards=[requires(Permission.threads_read)])
async def read_thread(request: Caller, thread_id: FromPath[UUID], database: NamedDependency[Database]) -> SeenThread:
    """A thread that one sees."""
    return await database.read(load_thread, request.user.user_id, thread_id)


@patch("/{thread_id:uuid}", guards=[requires(Permission.threads_write)])
async def patch_thread(
    request: Caller, thread_id: FromPath[UUID], data: JSONBody[ThreadPatch], database: NamedDependency[Database]
) -> SeenThread:
    """Rename, lock, archive or open a thread: all that is asked, or nothing."""
    title = data.title if data.title is msgspec.UNSET else data.title.strip()
    change = ThreadChange(title=title, visibility=data.visibility, locked=data.locked, archived=data.archived)
    return await database.write(change_thread, request.user.user_id, thread_id, change)


@delete("/{thread_id:uuid}", guards=[requires(Permission.threads_write)])
async def remove_thread(request: Caller, thread_id: FromPath[UUID], database: NamedDependency[Database]) -> None:
    """Delete a thread and all that was said in it; only its owner may."""
    await database.write_long(delete_thread, request.user.user_id, thread_id)


router = Router(
    "/api/threads",
    route_handlers=[open_thread, read_threads, read_thread, patch_thread, remove_thread],
    tags=["threads"],
)
