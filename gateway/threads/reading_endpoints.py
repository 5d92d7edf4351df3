"""How far one has read in a thread, and who looked at it, over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Request, Router, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from gateway.http.paging import DEFAULT, Page, PageLimit, decode_cursor, encode_cursor, one_direction, page
from gateway.identity.guards import requires
from gateway.identity.principal import Principal
from gateway.policy import Permission
from gateway.threads.schemas import AccessReport, ReadUpTo
from storage.database import Database
from storage.threads.reading import Access, list_accesses, mark_read, note_access
from storage.threads.threads import SeenThread, load_thread

Caller = Request[Principal, Any, Any]


@put("/{thread_id:uuid}/read", guards=[requires(Permission.threads_write)])
async def put_read_position(
    request: Caller, thread_id: FromPath[UUID], data: JSONBody[ReadUpTo], database: NamedDependency[Database]
) -> SeenThread:
    """Have read a thread up to a message. The position moves forward only."""
    await database.write(mark_read, request.user.user_id, thread_id, data.message_id)
    return await database.read(load_thread, request.user.user_id, thread_id)


@get("/{thread_id:uuid}/access-log", guards=[requires(Permission.threads_read)])
async def read_access_log(
    request: Caller,
    thread_id: FromPath[UUID],
    database: NamedDependency[Database],
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: PageLimit = DEFAULT,
) -> Page[Access]:
    """Who looked at a thread, the newest first; for its owner."""
    one_direction(after, before)
    found = await database.read(
        list_accesses,
        request.user.user_id,
        thread_id,
        after=decode_cursor(after, UUID),
        before=decode_cursor(before, UUID),
        limit=limit + 1,
    )
    return page(
        found,
        limit,
        lambda access: encode_cursor(access.id),
        after=after,
        before=before,
        view=lambda access: access,
    )


@post("/{thread_id:uuid}/access-log", guards=[requires(Permission.threads_write)])
async def report_access(
    request: Caller, thread_id: FromPath[UUID], data: JSONBody[AccessReport], database: NamedDependency[Database]
) -> Access:
    """Log that one looked at a thread, for a client that shows it without asking for it. Once in five minutes."""
    return await database.write(note_access, request.user.user_id, thread_id, data.message_id)


router = Router("/api/threads", route_handlers=[put_read_position, read_access_log, report_access], tags=["threads"])
