"""Everything that can go wrong about personas.

PersonaError
├── PersonaFileError   personas.yaml cannot be used; carries every problem found, each with its place
├── UnknownPersona     no persona has this id
└── ContextTooLarge    what may never be dropped does not fit the model's budget
"""

from collections.abc import Collection, Mapping
from difflib import get_close_matches

import msgspec

from personas.loading.sources import ReadFile


class Problem(msgspec.Struct, frozen=True, order=True):
    """One mistake in an operator's file. `line` and `column` count from 1; `path` is as the operator gave it."""

    path: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message}"


class PersonaError(Exception):
    """Something about personas did not work; the message is a sentence for people."""

    code = "persona-error"


class PersonaFileError(PersonaError):
    """The file cannot be used. `problems` holds all mistakes in the order of the file.

    `files` are those that were read or looked for, so that a watcher can tell when to try again.
    """

    code = "persona-file-invalid"

    def __init__(self, problems: tuple[Problem, ...], files: Mapping[str, ReadFile]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
        self.files = files


class UnknownPersona(PersonaError):
    """No persona has this id (abstract ones do not count)."""

    code = "persona-unknown"

    def __init__(self, persona_id: str, known: Collection[str]) -> None:
        super().__init__(f"There is no persona {persona_id!r}{did_you_mean(persona_id, known)}")
        self.persona_id = persona_id


class ContextTooLarge(PersonaError):
    """What may never be dropped needs more tokens than the budget. `parts` maps each part to its tokens."""

    code = "context-too-large"

    def __init__(self, parts: Mapping[str, int], budget: int) -> None:
        needed = sum(parts.values())
        sizes = ", ".join(f"{part} {tokens}" for part, tokens in parts.items())
        super().__init__(
            f"What must be sent needs about {needed} tokens, and the budget is {budget}: {sizes}. Shorten the message,"
            " or use a model with a larger window."
        )
        self.parts = dict(parts)
        self.needed = needed
        self.budget = budget


def did_you_mean(word: str, known: Collection[str]) -> str:
    """`; did you mean 'x'?` for the nearest known word, or a full stop when none is near."""
    near = get_close_matches(word, known, n=1) or get_close_matches(word.lower(), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else "."
