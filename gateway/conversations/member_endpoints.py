"""Who takes part in a conversation, over HTTP: the same routes for every kind of them."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Router, delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from gateway.errors import InvalidInput
from gateway.http.paging import Page
from gateway.identity.guards import requires
from gateway.identity.principal import Principal
from gateway.policy import Permission
from gateway.readers import Readers
from storage.conversations.conversations import ConversationKind, Member, MemberRole
from storage.conversations.membership import members_of, put_member_of, remove_member_of
from storage.database import Database
from storage.errors import NotFound

Caller = Request[Principal, Any, Any]

ROLES = {"participant": MemberRole.member, **{role.value: role for role in MemberRole if role is not MemberRole.owner}}
"""Every spelling of a role that may be given, and the one that is stored."""


class MemberPut(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The role that a person gets in a conversation; the templates' `participant` is a member."""

    role: str = MemberRole.member


def _router(kind: ConversationKind, read: Permission, write: Permission) -> Router:
    @get("/", guards=[requires(read)], operation_id=f"Read{kind.title()}Members")
    async def read_members(
        request: Caller, conversation_id: FromPath[UUID], database: NamedDependency[Database]
    ) -> Page[Member]:
        """Who takes part."""
        members = await database.read(members_of, request.user.user_id, kind, conversation_id)
        return Page(members, next=None, prev=None)

    @put("/{user_id:uuid}", guards=[requires(write)], operation_id=f"Put{kind.title()}Member")
    async def put_member(
        request: Caller,
        conversation_id: FromPath[UUID],
        user_id: FromPath[UUID],
        data: JSONBody[MemberPut],
        database: NamedDependency[Database],
    ) -> Member:
        """Add a person, or change their role; only the owner may."""
        role = ROLES.get(data.role)
        if role is None:
            raise InvalidInput(
                f"There is no role {data.role!r}. Choose member, moderator or viewer.",
                errors=[{"pointer": "/role", "message": "is not a role"}],
            )
        await database.write(put_member_of, request.user.user_id, kind, conversation_id, user_id, role)
        members = await database.read(members_of, request.user.user_id, kind, conversation_id)
        found = next((member for member in members if member.user_id == user_id), None)
        if found is None:  # taken out again in between
            raise NotFound("There is no such member.")
        return found

    @delete("/{user_id:uuid}", guards=[requires(write)], operation_id=f"Remove{kind.title()}Member")
    async def remove_member(
        request: Caller,
        conversation_id: FromPath[UUID],
        user_id: FromPath[UUID],
        database: NamedDependency[Database],
        readers: NamedDependency[Readers],
    ) -> None:
        """Take a person out: the owner anybody, everybody themselves."""
        await database.write(remove_member_of, request.user.user_id, kind, conversation_id, user_id)
        readers.look_again(user_id)

    return Router(
        f"/api/{kind}s/{{conversation_id:uuid}}/members",
        route_handlers=[read_members, put_member, remove_member],
        tags=[f"{kind}s"],
    )


ROUTERS = [
    _router(ConversationKind.chat, Permission.chats_read, Permission.chats_write),
    _router(ConversationKind.thread, Permission.threads_read, Permission.threads_write),
]
