"""Who still may read what they were let in to, on both databases."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection, update
from sqlmodel import col

from storage.chats.chats import create_chat, delete_chat
from storage.conversations.conversations import ConversationKind
from storage.conversations.membership import remove_member_of
from storage.database import Database
from storage.database.columns import new_id, now
from storage.people.access import Access, Lost, lost_access
from storage.people.credentials import AccessToken, AuthSession, create_access_token, open_login
from storage.people.erasure import delete_user
from storage.people.users import UserRole, change_standing, create_user

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
NOTHING = Lost(set(), set())


def person(connection: Connection, name: str, role: UserRole = UserRole.member) -> tuple[UUID, UUID, UUID]:
    """Somebody, their login and their access token."""
    user_id = create_user(connection, username=name, email=None, password_hash="x", role=role).id
    login, token = name.encode().ljust(32), name.upper().encode().ljust(32)
    login_id = open_login(connection, user_id, proven="x", token_hash=login, user_agent="", lifetime=DAY)
    made = create_access_token(
        connection, user_id, name="t", token_hash=token, display="t", scopes=["turns:read"], lifetime=DAY
    )
    return user_id, login_id, made.id


async def test_what_each_loses(database: Database) -> None:
    def whole(connection: Connection) -> None:
        ada, ada_login, ada_token = person(connection, "ada", UserRole.admin)
        bob, bob_login, bob_token = person(connection, "bob")
        eve, eve_login, _ = person(connection, "eve")
        chat = create_chat(connection, ada, persona="mia", participants=(bob, eve)).id
        other = create_chat(connection, ada, persona="mia").id
        readings = [
            Access(user_id=user, credential_id=credential, conversation_id=place)
            for user, credential, place in (
                (ada, ada_login, chat),
                (ada, ada_token, other),
                (bob, bob_login, chat),
                (bob, bob_token, None),
                (eve, eve_login, chat),
            )
        ]

        def lost(idle: timedelta = DAY) -> Lost:
            return lost_access(connection, readings, idle=idle)

        assert lost_access(connection, [], idle=DAY) == NOTHING
        assert lost() == NOTHING
        outsider = Access(user_id=bob, credential_id=bob_login, conversation_id=other)
        assert lost_access(connection, [outsider], idle=DAY) == Lost(set(), {(other, bob)})
        connection.execute(update(AuthSession).values(last_seen_at=now() - DAY / 2))
        assert lost(idle=DAY / 4) == Lost({ada_login, bob_login, eve_login}, set())
        connection.execute(update(AccessToken).where(col(AccessToken.id) == ada_token).values(expires_at=now()))
        assert lost() == Lost({ada_token}, set())
        remove_member_of(connection, ada, ConversationKind.chat, chat, bob)
        assert lost() == Lost({ada_token}, {(chat, bob)})
        change_standing(connection, None, bob, disabled=True)
        assert lost() == Lost({ada_token, bob_login, bob_token}, {(chat, bob)})
        delete_user(connection, eve)
        assert lost() == Lost({ada_token, bob_login, bob_token, eve_login}, {(chat, bob), (chat, eve)})
        delete_chat(connection, ada, chat)
        assert lost() == Lost({ada_token, bob_login, bob_token, eve_login}, set())

    await database.write(whole)


async def test_a_thousand_are_asked_for_at_once(database: Database) -> None:
    user, login, _ = await database.write(person, "ada")
    chat = (await database.write(create_chat, user, persona="mia")).id
    strangers = [Access(user_id=new_id(), credential_id=new_id(), conversation_id=chat) for _ in range(999)]
    known = Access(user_id=user, credential_id=login, conversation_id=chat)
    lost = await database.read(lost_access, [known, *strangers], idle=DAY)
    assert lost.credentials == {access.credential_id for access in strangers}
    assert lost.places == {(chat, access.user_id) for access in strangers}
