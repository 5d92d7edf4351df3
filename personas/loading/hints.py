"""What to do about YAML that cannot be read: the commonest slips, told in words an operator knows."""

import re

_TIGHT_COLON = re.compile(r"^(\s*(?:- +)?[A-Za-z_][\w-]*):(?=[^\s/])")
_LOOSE_COLON = re.compile(r"^\s*(?:- +)?[\w-]+:\s+[^'\"\[{|>&#\s][^#]*?(: )")
_BARE_MACRO = re.compile(r"(?:^|: |- |\[|, )\s*(\{\{)")


def syntax_hint(wrong: str, line: int, column: int, lines: list[str]) -> tuple[int, int, str]:
    """The line and column (from 1) where the slip is, and what is wrong and what to do.

    `wrong` is the parser's own phrase for the place where it gave up, which may be a line or two later.
    """
    here = lines[line - 1] if line <= len(lines) else ""
    if "'\\t'" in wrong:
        return line, column, "a tab cannot indent; use blanks."
    if "'@'" in wrong or "'`'" in wrong or "'%'" in wrong:
        return line, column, f"a value cannot begin with {here[column - 1 : column]!r}; put it in quotes."
    for near in range(line, max(0, line - 3), -1):
        source = lines[near - 1] if near <= len(lines) else ""
        if macro := _BARE_MACRO.search(source):
            return near, macro.start(1) + 1, "text that begins with '{{' is read as a map; put it in quotes."
        if near == line and (loose := _LOOSE_COLON.match(source)):
            return near, loose.start(1) + 1, "text that holds ': ' is read as another key; put it in quotes."
        if tight := _TIGHT_COLON.match(source):
            return near, tight.end(1) + 1, "there is no blank after the colon; write 'key: value'."
    return line, column, f"this is not YAML ({wrong}); check quotes, brackets and indentation."
