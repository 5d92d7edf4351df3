"""A persona as the gateway uses it: resolved, complete and frozen, with nothing left to look up."""

import hashlib
from functools import cached_property
from typing import Literal

import msgspec

from providers.models import Model, Params

RANKS = {"public": 0, "participant": 1, "member": 1, "moderator": 2, "admin": 3}
"""The roles that `access` may name, and how far up each stands; one that is named admits those above it."""


class LoreEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of knowledge: sent always, or only where one of its `keys` was just spoken of."""

    id: str
    content: str
    keys: tuple[str, ...] = ()
    always: bool = False
    priority: int = 0


class Lorebook(msgspec.Struct, frozen=True, kw_only=True):
    """Entries that share a budget, in o200k_base tokens. `scan_depth` newest messages are searched for keys."""

    id: str
    entries: tuple[LoreEntry, ...]
    budget_tokens: int = 512
    scan_depth: int = 4


class ExampleLine(msgspec.Struct, frozen=True):
    """One line of an example dialogue."""

    speaker: Literal["user", "char"]
    text: str


class ContextPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How a window of history is kept. Tokens, except `low_water` (a share of the budget) and `min_turns`."""

    max_input_tokens: int | None = None
    reserve_output: int | None = None
    low_water: float = 0.7
    min_turns: int = 2
    examples: Literal["drop_first", "keep"] = "drop_first"


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Who may talk to a persona: nobody, unless a role or a username is named."""

    roles: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    listed: bool = True


class Disclosure(msgspec.Struct, frozen=True, kw_only=True):
    """Who may read the texts that were sent in their turns: all that is still asked of a persona that was removed."""

    show_prompt: Literal["users", "operators", "nobody"] = "users"

    def shows_prompt(self, role: str) -> bool:
        """Whether someone of this role, who may see a turn, may also see the texts that were sent in it."""
        return self.show_prompt == "users" or (self.show_prompt == "operators" and role == "admin")


class Persona(Disclosure, frozen=True, kw_only=True, eq=False, dict=True):
    """A named character. Texts are as the operator wrote them: macros are rendered when a Context is assembled.

    `summary` is what people are shown as the description, and is never sent. `models` holds the declared values of
    `model`, `fallbacks` and `stand_in`.
    """

    id: str
    name: str
    model: str
    models: dict[str, Model]
    fallbacks: tuple[str, ...] = ()
    stand_in: str | None = None
    nickname: str = ""
    summary: str = ""
    tags: tuple[str, ...] = ()
    system: str = ""
    persona: str = ""
    personality: str = ""
    scenario: str = ""
    examples: tuple[tuple[ExampleLine, ...], ...] = ()
    greetings: tuple[str, ...] = ()
    post_history: str = ""
    params: Params = Params()
    max_output_tokens: int | None = None
    context: ContextPolicy = ContextPolicy()
    variables: dict[str, str] = {}
    lorebooks: tuple[Lorebook, ...] = ()
    access: Access = Access()

    @property
    def char(self) -> str:
        """What `{{char}}` becomes."""
        return self.nickname or self.name

    def admits(self, role: str, username: str) -> bool:
        """Whether someone signed in with this role and username may talk to the persona."""
        rank = RANKS.get(role, 0)
        return username in self.access.users or any(rank >= RANKS[named] for named in self.access.roles)

    def canonical(self) -> bytes:
        """The persona as JSON with sorted keys: the same bytes as long as nothing that it says has changed.

        Prices are left out: they change what a turn costs, and nothing of what is sent.
        """
        fields = msgspec.to_builtins(self, order="sorted")
        for model in fields["models"].values():
            del model["price"]
        return msgspec.json.encode(fields, order="sorted")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of `canonical()`, in hex: the persona's revision."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Persona) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)
