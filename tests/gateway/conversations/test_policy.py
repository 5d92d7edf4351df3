"""The table of who may do what within a conversation: every cell is tried over HTTP, and the documentation shows it."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from builders import Gateway, Person
from sqlalchemy import Connection, select

from storage.conversations.conversations import ConversationKind, MemberRole
from storage.conversations.policy import RULES, Action, Sender
from storage.database.columns import Table

DOCS = Path(__file__).parents[3] / "docs" / "api.md"

UNTOUCHED_BY_RULES = {"allowance", "auth_session"}
"""Tables that a refused request may change: it still counts, and is seen."""

USED_UP = {Action.change_members, Action.leave, Action.delete}
"""What the next one cannot do to the same conversation any more."""

KINDS = list(RULES)


class Place:
    """A conversation with somebody in each role, and a stranger who is nobody in it."""

    def __init__(self, kind: ConversationKind, people: dict[str, Person], id: str) -> None:
        self.kind = kind
        self.people = people
        self.id = id
        self.path = f"/api/{kind}s/{id}"

    async def prepare(self) -> None:
        """What some attempts need to be there: a message of each who may say one, and of one who may not any more."""
        self.messages: dict[str, str] = {}
        for name in ("viewer", "member", "moderator", "owner"):
            if self.kind is ConversationKind.thread or name == "owner":
                said = await self.people[name].post(f"{self.path}/messages", {"content": "Hello"})
                assert said.status_code == 201, said.text
                self.messages[name] = f"/api/messages/{said.json()['id']}"
        demoted = await self.people["owner"].put(f"{self.path}/members/{self.people['viewer'].id}", {"role": "viewer"})
        assert demoted.status_code == 200

    def own(self, person: Person) -> str:
        """The path of a message that this person sent, or of the owner's when they sent none."""
        return next(
            (self.messages[name] for name in self.messages if self.people[name] is person), self.messages["owner"]
        )


async def leave(person: Person, place: Place) -> httpx.Response:
    return await person.delete(f"{place.path}/members/{person.id}")


Attempt = Callable[[Person, Place], Awaitable[httpx.Response]]

ATTEMPTS: dict[tuple[ConversationKind, Action], list[Attempt]] = {
    **{
        (kind, action): attempts
        for kind in KINDS
        for action, attempts in {
            Action.read: [
                lambda person, place: person.get(place.path),
                lambda person, place: person.get(f"{place.path}/members"),
            ],
            Action.rename: [lambda person, place: person.patch(place.path, {"title": "New"})],
            Action.change_members: [
                lambda person, place: person.put(f"{place.path}/members/{place.people['guest'].id}", {}),
                lambda person, place: person.delete(f"{place.path}/members/{place.people['guest'].id}"),
            ],
            Action.leave: [leave],
            Action.delete: [lambda person, place: person.delete(place.path)],
        }.items()
    },
    (ConversationKind.chat, Action.say): [
        lambda person, place: person.post(f"{place.path}/messages", {"content": "x"}),
    ],
    (ConversationKind.chat, Action.switch_branch): [
        lambda person, place: person.patch(place.path, {"active_leaf": place.messages["owner"][-36:]})
    ],
    (ConversationKind.chat, Action.replace_data): [
        lambda person, place: person.put(f"{place.path}/context", {"data": "x"})
    ],
    (ConversationKind.thread, Action.read): [
        lambda person, place: person.get(place.path),
        lambda person, place: person.get(f"{place.path}/members"),
        lambda person, place: person.get(f"{place.path}/messages"),
        lambda person, place: person.get(f"{place.path}/pinned"),
        lambda person, place: person.get(f"{place.messages['owner']}/replies"),
        lambda person, place: person.get(f"{place.messages['owner']}/revisions"),
        lambda person, place: person.put(f"{place.path}/read", {"message_id": place.messages["owner"][-36:]}),
        lambda person, place: person.post(f"{place.path}/access-log", {}),
    ],
    (ConversationKind.thread, Action.read_access_log): [
        lambda person, place: person.get(f"{place.path}/access-log"),
    ],
    (ConversationKind.thread, Action.say): [
        lambda person, place: person.post(f"{place.path}/messages", {"text": "x"}),
    ],
    (ConversationKind.thread, Action.edit_message): [
        lambda person, place: person.patch(place.own(person), {"text": "x"}),
    ],
    (ConversationKind.thread, Action.delete_message): [lambda person, place: person.delete(place.own(person))],
    (ConversationKind.thread, Action.react): [
        lambda person, place: person.put(f"{place.messages['owner']}/reactions/👍"),
        lambda person, place: person.delete(f"{place.messages['owner']}/reactions/👍"),
    ],
    (ConversationKind.thread, Action.pin_message): [
        lambda person, place: person.put(f"{place.messages['owner']}/pinned"),
        lambda person, place: person.delete(f"{place.messages['owner']}/pinned"),
    ],
    (ConversationKind.thread, Action.hide_message): [
        lambda person, place: person.put(f"{place.messages['owner']}/hidden"),
        lambda person, place: person.delete(f"{place.messages['owner']}/hidden"),
    ],
    (ConversationKind.thread, Action.lock): [lambda person, place: person.patch(place.path, {"locked": True})],
    (ConversationKind.thread, Action.archive): [lambda person, place: person.patch(place.path, {"archived": True})],
    (ConversationKind.thread, Action.change_visibility): [
        lambda person, place: person.patch(place.path, {"title": "New", "visibility": "everyone"})
    ],
}


async def open_place(people: dict[str, Person], kind: ConversationKind) -> Place:
    owner = people["owner"]
    body = {"persona": "plain"} if kind is ConversationKind.chat else {"title": "Plans"}
    opened = await owner.post(f"/api/{kind}s", body)
    assert opened.status_code == 201, opened.text
    place = Place(kind, people, opened.json()["id"])
    for name in (MemberRole.viewer, MemberRole.member, MemberRole.moderator):
        role = MemberRole.member if name is MemberRole.viewer else name
        put = await owner.put(f"{place.path}/members/{people[name].id}", {"role": role})
        assert put.status_code == 200, put.text
    guest = await owner.put(f"{place.path}/members/{people['guest'].id}", {"role": "viewer"})
    assert guest.status_code == 200
    await place.prepare()
    return place


def everything(connection: Connection) -> dict[str, list[Any]]:
    return {
        name: sorted(map(repr, connection.execute(select(table)).all()))
        for name, table in Table.metadata.tables.items()
        if name not in UNTOUCHED_BY_RULES
    }


@pytest.mark.anyio
async def test_every_cell_of_the_table(gateway: Gateway) -> None:
    people = {name: await gateway.person(name) for name in ("root", "stranger", "guest", *MemberRole)}
    for kind in KINDS:
        for action, needed in RULES[kind].items():
            for attempt in ATTEMPTS[kind, action]:
                place = await open_place(people, kind)
                for subject in ("root", "stranger", *MemberRole):
                    least = needed.least if isinstance(needed, Sender) else needed
                    allowed = subject in list(MemberRole) and MemberRole(subject).includes(least)
                    before = await gateway.services.database.read(everything)
                    answer = await attempt(people[subject], place)
                    cell = (kind, action, subject, answer.text)
                    if allowed and (action, subject) != (Action.leave, "owner"):
                        assert answer.is_success, cell
                        if action in USED_UP:
                            place = await open_place(people, kind)
                        continue
                    seen = subject in list(MemberRole)
                    expected = 404 if not seen or allowed else 403  # the owner stays: there is nobody to remove
                    assert answer.status_code == expected, cell
                    assert await gateway.services.database.read(everything) == before, cell


@pytest.mark.anyio
async def test_what_a_sender_may_nobody_else_may(gateway: Gateway) -> None:
    people = {name: await gateway.person(name) for name in ("root", "stranger", "guest", *MemberRole)}
    place = await open_place(people, ConversationKind.thread)
    for sender, path in place.messages.items():
        for name, person in people.items():
            if name == sender or name in ("root", "stranger"):
                continue
            for answer in (await person.patch(path, {"text": "x"}), await person.delete(path)):
                assert answer.status_code == 403, (name, sender, answer.text)
                assert answer.json()["detail"].startswith("Only its sender may ")


def test_every_cell_has_an_attempt() -> None:
    assert set(ATTEMPTS) == {(kind, action) for kind in KINDS for action in RULES[kind]}


def test_the_documentation_shows_the_table() -> None:
    section = DOCS.read_text().partition("## Within a conversation\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|`]+) \| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)
    expected = [(action, *(RULES[kind].get(action, "–") for kind in KINDS)) for action in Action]  # noqa: RUF001
    assert [tuple(map(str, row)) for row in expected] == rows
