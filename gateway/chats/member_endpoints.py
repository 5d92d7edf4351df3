"""Who takes part in a chat, over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Request, Router, delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from gateway.chats.schemas import MemberPut
from gateway.errors import InvalidInput
from gateway.http.paging import Page
from gateway.identity.guards import requires
from gateway.identity.principal import Principal
from gateway.policy import Permission
from gateway.readers import Readers
from storage.chats.chats import chat_members, put_chat_member, remove_chat_member
from storage.conversations.conversations import Member, MemberRole
from storage.database import Database
from storage.errors import NotFound

Caller = Request[Principal, Any, Any]

ROLES = {"participant": MemberRole.member, **{role.value: role for role in MemberRole if role is not MemberRole.owner}}
"""Every spelling of a role that may be given, and the one that is stored."""


@get("/", guards=[requires(Permission.chats_read)])
async def read_members(request: Caller, chat_id: FromPath[UUID], database: NamedDependency[Database]) -> Page[Member]:
    """Who takes part in a chat."""
    return Page(await database.read(chat_members, request.user.user_id, chat_id), next=None, prev=None)


@put("/{user_id:uuid}", guards=[requires(Permission.chats_write)])
async def put_member(
    request: Caller,
    chat_id: FromPath[UUID],
    user_id: FromPath[UUID],
    data: JSONBody[MemberPut],
    database: NamedDependency[Database],
) -> Member:
    """Add a person to a chat, or change their role in it; only its owner may."""
    role = ROLES.get(data.role)
    if role is None:
        raise InvalidInput(
            f"There is no role {data.role!r}. Choose member, moderator or viewer.",
            errors=[{"pointer": "/role", "message": "is not a role"}],
        )
    await database.write(put_chat_member, request.user.user_id, chat_id, user_id, role)
    members = await database.read(chat_members, request.user.user_id, chat_id)
    found = next((member for member in members if member.user_id == user_id), None)
    if found is None:  # taken out again in between
        raise NotFound("There is no such member.")
    return found


@delete("/{user_id:uuid}", guards=[requires(Permission.chats_write)])
async def remove_member(
    request: Caller,
    chat_id: FromPath[UUID],
    user_id: FromPath[UUID],
    database: NamedDependency[Database],
    readers: NamedDependency[Readers],
) -> None:
    """Take a person out of a chat: its owner anybody, everybody themselves."""
    await database.write(remove_chat_member, request.user.user_id, chat_id, user_id)
    readers.look_again(user_id)


router = Router(
    "/api/chats/{chat_id:uuid}/members", route_handlers=[read_members, put_member, remove_member], tags=["chats"]
)
