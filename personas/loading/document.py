"""A YAML 1.2 file as plain values, together with the place of each of them.

Only the composer of ruamel.yaml is used: it gives nodes with their marks. Making values of them here lets every
duplicate key, tag and runaway alias be reported, instead of the first.
"""

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from personas.errors import Problem
from personas.loading.hints import syntax_hint

Path = tuple[str | int, ...]
"""Where a value stands: the keys and indices that lead to it from the top."""

MOST_VALUES = 50_000
DEEPEST = 24
LONGEST_NUMBER = 64
LARGEST_NUMBER = 2**63
"""What is larger fits into no column and no provider's field; infinity and NaN are no JSON."""
_CORE = "tag:yaml.org,2002:"
_SURROGATE = re.compile("[\ud800-\udfff]")


class Document:
    """The values of one file (`data`, maps with text keys) and what is known of their places.

    Texts that were read from other files are put in by `include`, and their places are then in those files.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.data: dict[str, Any] = {}
        self._lines: list[str] = []
        self._values: dict[Path, Node] = {}
        self._keys: dict[Path, Node] = {}
        self._included: dict[Path, tuple[str, str]] = {}

    def problem(self, path: Path, message: str, *, key: bool = False, offset: int | None = None) -> Problem:
        """A problem at a value (or at its key), or at a character of a text. Unknown paths mean their parent's key."""
        if path in self._included:
            name, text = self._included[path]
            before = text[: offset or 0]
            return Problem(name, before.count("\n") + 1, len(before) - before.rfind("\n"), message)
        line, column = self._place(path, key) if offset is None else self._offset(path, offset)
        return Problem(self.name, line, column, message)

    def include(self, path: Path, name: str, text: str) -> None:
        """Puts the text of another file in the place of the reference to it."""
        holder: Any = self.data
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = text
        self._included[path] = (name, text)

    def says_nothing(self, path: Path) -> bool:
        """Whether a value is absent as written (`key:`), and not for being told as a mistake already."""
        node = self._values.get(path)
        return node is None or node.tag == _CORE + "null"

    def origin(self, path: Path) -> str:
        """`file:line` of a value, for operators."""
        problem = self.problem(path, "")
        return f"{problem.path}:{problem.line}"

    def _place(self, path: Path, key: bool) -> tuple[int, int]:
        node = (self._keys if key else self._values).get(path)
        while node is None and path:
            path = path[:-1]
            node = self._keys.get(path) or self._values.get(path)
        return (node.start_mark.line + 1, node.start_mark.column + 1) if node is not None else (1, 1)

    def _offset(self, path: Path, offset: int) -> tuple[int, int]:
        node = self._values.get(path)
        line, column = self._place(path, key=False)
        if not isinstance(node, ScalarNode):
            return line, column
        before = node.value[:offset]
        if node.style == "|":
            row = line + before.count("\n")
            own = node.value.splitlines()[before.count("\n")]
            return row + 1, len(self._lines[row]) - len(own) + len(before) - before.rfind("\n")
        if node.end_mark.line + 1 == line and node.style != ">":
            return line, column + offset + (node.style in ("'", '"'))
        return line, column


def parse_document(name: str, text: str) -> tuple[Document | None, list[Problem]]:
    """The document and its mistakes as YAML; no document where the text could not be read at all."""
    document = Document(name)
    document._lines = text.splitlines()
    try:
        node = YAML(typ="rt").compose(text) if _says_something(text) else None
    except MarkedYAMLError as error:
        # A quote or bracket that is never closed is found at the end, and is wrong where it was opened.
        unclosed = error.context_mark is not None and re.search("end of stream|stream end", str(error.problem))
        mark = error.context_mark if unclosed else error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        wrong = str(error.problem or error.context)
        line, column, message = syntax_hint(wrong, line, column, document._lines)
        return None, [Problem(name, line, column, message)]
    except YAMLError:
        at = next((index for index, char in enumerate(text) if not char.isprintable() and char not in "\t\n\r"), 0)
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        return None, [Problem(name, line, column, "not a character that YAML allows; remove it.")]
    except RecursionError:
        return None, [Problem(name, 1, 1, "nested too deeply; remove some levels.")]
    if not isinstance(node, MappingNode):
        return None, [Problem(name, 1, 1, "expected keys such as 'version' and 'personas'; see docs/personas.md.")]
    reader = _Reader(document)
    data = reader.value(node, ())
    if not isinstance(data, dict):
        return None, reader.problems
    document.data = data
    return document, reader.problems


def _says_something(text: str) -> bool:
    return any(
        line.strip() not in ("", "---", "...") and not line.lstrip().startswith("#") for line in text.splitlines()
    )


class _Reader:
    """Makes values of nodes, and notes the mistakes it meets on the way."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.values = 0

    def value(self, node: Node, path: Path) -> Any:
        self.document._values[path] = node
        self.values += 1
        if self.values > MOST_VALUES or len(path) > DEEPEST:
            if self.values <= MOST_VALUES + 1:
                self._wrong(node, "too many or too deeply nested values; use fewer aliases.")
            return None
        if not str(node.tag).startswith(_CORE):
            self._wrong(node, f"the tag {str(node.tag)!r} is not allowed; remove it.")
            return None
        if isinstance(node, MappingNode):
            return self._map(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node) if isinstance(node, ScalarNode) else None

    def _map(self, node: MappingNode, path: Path) -> Any:
        values: dict[str, Any] = {}
        for key, child in node.value:
            if isinstance(key, MappingNode):
                self._wrong(key, "text that begins with '{{' is read as a map; put it in quotes.")
                return "?"  # Stands for the text that was meant, so that nothing else is said of it.
            if not isinstance(key, ScalarNode) or _SURROGATE.search(key.value):
                self._wrong(key, "a key is text; put it in quotes, or correct it.")
            elif key.tag == _CORE + "merge":
                self._wrong(key, "'<<' is not part of YAML 1.2; use 'extends'.")
            elif key.value in values:
                first = self.document._keys[(*path, key.value)].start_mark.line + 1
                self._wrong(key, f"duplicate key {key.value!r}, first given in line {first}; remove one of them.")
            else:
                self.document._keys[(*path, key.value)] = key
                values[key.value] = self.value(child, (*path, key.value))
        return values

    def _scalar(self, node: ScalarNode) -> Any:
        text = str(node.value)
        kind = str(node.tag).removeprefix(_CORE)
        if kind in ("int", "float"):
            return self._number(node, text, kind)
        if kind in ("bool", "null"):
            return text.lower() == "true" if kind == "bool" else None
        if kind not in ("str", "timestamp"):  # A date is text in YAML 1.2.
            self._wrong(node, f"the tag '!!{kind}' is not allowed; remove it.")
        if _SURROGATE.search(text):
            self._wrong(node, "half a surrogate pair is not a character; write the character itself.")
        return text

    def _number(self, node: Node, text: str, kind: str) -> int | float | None:
        number: int | float
        try:
            if len(text) > LONGEST_NUMBER:  # longer ones cost seconds, or are refused by Python
                number = LARGEST_NUMBER
            elif kind == "float":
                number = float(text.replace(".inf", "inf").replace(".nan", "nan"))
            else:
                number = int(text, 0) if text.lstrip("+-")[:2] in ("0x", "0o") else int(text)
        except ValueError:
            self._wrong(node, f"{text[:40]!r} is not a number; put text in quotes.")
            return None
        if not abs(number) < LARGEST_NUMBER:
            self._wrong(node, f"{text[:40]!r} is out of range; write a finite number of at most 18 digits.")
            return None
        return number

    def _wrong(self, node: Node, message: str) -> None:
        mark = node.start_mark
        self.problems.append(Problem(self.document.name, mark.line + 1, mark.column + 1, message))
