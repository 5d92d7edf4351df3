"""Who may do what within a conversation: one table for every kind of them.

The endpoints' checks, the tests of every cell and the table in docs/api.md come from it. What one may see at all is
decided by the query (`visibility.py`), and what a program may do with somebody's token by `gateway/policy.py`.
"""

from enum import StrEnum

import msgspec

from storage.conversations.conversations import ConversationKind, MemberRole
from storage.errors import Forbidden


class Action(StrEnum):
    """What one does within a conversation, in the words of the documentation."""

    read = "read, and see who takes part"
    say = "say something"
    rename = "change the title"
    switch_branch = "switch to another branch"
    replace_data = "replace the data that is sent with each turn"
    lock = "lock and unlock"
    archive = "archive and restore"
    change_visibility = "change who sees it"
    change_members = "add, change and remove members"
    leave = "leave"
    delete = "delete it"
    edit_message = "edit a message"
    delete_message = "delete a message"
    react = "react to a message"
    hide_message = "hide a message and show it again"
    pin_message = "pin a message and unpin it"
    read_access_log = "read the access log"


class Sender(msgspec.Struct, frozen=True):
    """Only who sent the message may, having at least this role."""

    least: MemberRole

    def __str__(self) -> str:
        return f"its sender, as a {self.least}"


RULES: dict[ConversationKind, dict[Action, MemberRole | Sender]] = {
    ConversationKind.chat: {
        Action.read: MemberRole.viewer,
        Action.say: MemberRole.member,
        Action.rename: MemberRole.moderator,
        Action.switch_branch: MemberRole.member,
        Action.replace_data: MemberRole.member,
        Action.change_members: MemberRole.owner,
        Action.leave: MemberRole.viewer,
        Action.delete: MemberRole.owner,
    },
    ConversationKind.thread: {
        Action.read: MemberRole.viewer,
        Action.say: MemberRole.member,
        Action.rename: MemberRole.moderator,
        Action.lock: MemberRole.moderator,
        Action.archive: MemberRole.moderator,
        Action.change_visibility: MemberRole.owner,
        Action.change_members: MemberRole.owner,
        Action.leave: MemberRole.viewer,
        Action.delete: MemberRole.owner,
        Action.edit_message: Sender(MemberRole.member),
        Action.delete_message: Sender(MemberRole.viewer),
        Action.react: MemberRole.member,
        Action.hide_message: MemberRole.moderator,
        Action.pin_message: MemberRole.moderator,
        Action.read_access_log: MemberRole.owner,
    },
}
"""The least role that may; an action that is not there does not exist in that kind of conversation."""


def require(kind: ConversationKind, action: Action, role: str, *, is_sender: bool = False) -> None:
    """Raise `Forbidden` when this role may not do this in a conversation that it sees.

    `is_sender` says that the message it is about is theirs.
    """
    rule = RULES[kind][action]
    if isinstance(rule, Sender) and not is_sender:
        raise Forbidden(f"Only its sender may {action}.")
    needed = rule.least if isinstance(rule, Sender) else rule
    if not MemberRole(role).includes(needed):
        raise Forbidden(f"In this conversation you are a {role}; this takes a {needed}.")
