"""What people may call themselves."""

from gateway.errors import InvalidInput

_MARKS = "_.-"


def check_username(name: str) -> str:
    """The name as it came. Raises `InvalidInput` unless it is 3 to 40 letters, digits, `_`, `.` or `-`."""
    if not 3 <= len(name) <= 40 or not all(letter.isalnum() or letter in _MARKS for letter in name):
        raise _invalid("/username", "A username is 3 to 40 letters, digits, '_', '.' or '-'.")
    return name


def check_email(address: str) -> str:
    """The address as it came. Raises `InvalidInput` for what no mail could be sent to."""
    local, _, domain = address.partition("@")
    if not local or not domain or "@" in domain or len(address) > 254 or not address.isprintable() or " " in address:
        raise _invalid("/email", "This is no email address. Write it like 'name@example.org'.")
    return address


def check_line(text: str, pointer: str) -> str:
    """The text without spaces around it. Raises `InvalidInput` for an empty one or one with control characters
    (of which PostgreSQL cannot store NUL)."""
    if not text.strip() or not text.isprintable():
        raise _invalid(pointer, "Use one line of printable characters.")
    return text.strip()


def _invalid(pointer: str, sentence: str) -> InvalidInput:
    return InvalidInput(sentence, errors=[{"pointer": pointer, "message": sentence}])
