"""Reading personas.yaml and the texts it refers to: the only place in this package that touches files."""

import hashlib
import os
from pathlib import Path, PurePosixPath
from typing import NamedTuple

LARGEST_FILE = 1024 * 1024
LARGEST_TEXT = 256 * 1024

Stamp = tuple[int, int, int] | None
"""Modification time in nanoseconds, size and inode: changed when the file was; None where there is none."""


class ReadFile(NamedTuple):
    """A file's stamp from before it was read, and the SHA-256 of its bytes (empty where there were none to read)."""

    stamp: Stamp
    digest: str


class Unreadable(Exception):
    """A file that cannot be used; the message says why, for an operator."""


class Sources:
    """The files of one load. `files` holds each path that was read, or looked for, as it was then."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: dict[str, ReadFile] = {}

    def read_document(self) -> str:
        """The text of personas.yaml. Raises Unreadable."""
        return self._read(self.path, LARGEST_FILE)

    def read_text(self, reference: str) -> tuple[str, str]:
        """A referred file's path for people, and its text. Raises Unreadable, also for files outside the directory."""
        relative = PurePosixPath(reference)
        file = self.path.parent / relative
        if not reference or relative.is_absolute() or "\0" in reference:
            raise Unreadable("the path must be relative to the directory of this file")
        if any(part.startswith(".") and part != ".." for part in relative.parts):
            raise Unreadable("files and folders whose names begin with a dot are not read")
        if not file.resolve().is_relative_to(self.path.parent.resolve()):
            raise Unreadable("the file is outside the directory of this file")
        return str(file), self._read(file, LARGEST_TEXT)

    def _read(self, file: Path, largest: int) -> str:
        before = stamp(str(file))
        self.files[str(file)] = ReadFile(before, "")
        try:
            if not file.is_file():
                raise Unreadable("there is no such file")
            with file.open("rb") as opened:
                content = opened.read(largest + 1)
        except OSError as error:
            raise Unreadable(f"the file cannot be read ({error.strerror})") from error
        if len(content) > largest:
            raise Unreadable(f"the file is larger than {largest // 1024} KB")
        self.files[str(file)] = ReadFile(before, hashlib.sha256(content).hexdigest())
        try:
            return content.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            raise Unreadable("the file is not UTF-8") from error


def stamp(file: str) -> Stamp:
    """What tells one state of a file from another without reading it."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
