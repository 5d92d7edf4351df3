"""The catalog in use: the last good one, whatever happens to the files."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from personas.errors import PersonaFileError
from personas.reload import LiveCatalog

Write = Callable[..., str]
MIA = "  mia: {name: Mia, model: fast, access: {roles: [member]}}\n"
BO = "  bo: {name: Bo, model: fast, access: {roles: [member]}, system: {file: bo.md}}\n"


def test_bad_file_at_start_is_an_error(write: Write) -> None:
    with pytest.raises(PersonaFileError, match="did you mean 'fast'"):
        LiveCatalog(write("  mia: {name: Mia, model: fats}\n"))


def test_good_file_is_taken_as_a_whole(write: Write) -> None:
    live = LiveCatalog(write(MIA))
    first = live.current
    write(BO, bo="You are {{char}}.")
    outcome = live.reload()
    assert outcome.ok
    assert list(live.current.personas) == ["bo"]
    assert list(first.personas) == ["mia"]
    assert outcome.digest == live.current.digest != first.digest
    assert outcome.loaded_at == outcome.attempted_at


def test_bad_file_keeps_the_whole_last_good_state(write: Write) -> None:
    live = LiveCatalog(write(MIA))
    first, start = live.current, live.latest
    write(MIA.replace("Mia", "Maria") + "  bo: {name: Bo, model: fats}\n")
    outcome = live.reload()
    assert live.current is first
    assert (outcome.ok, outcome.digest, outcome.loaded_at) == (False, first.digest, start.loaded_at)
    assert [str(error) for error in outcome.errors] == [
        "personas.yaml:8:25: there is no model 'fats'; did you mean 'fast'?"
    ]
    assert outcome.attempted_at > start.attempted_at
    assert live.latest is outcome
    write(MIA)
    again = live.reload()
    assert (again.ok, again.errors, again.loaded_at) == (True, (), start.loaded_at)


def test_removed_file_keeps_the_last_good_state(write: Write, tmp_path: Path) -> None:
    live = LiveCatalog(write(MIA))
    (tmp_path / "personas.yaml").unlink()
    assert live.changed()
    assert not live.reload().ok
    assert list(live.current.personas) == ["mia"]
    assert not live.changed()
    write(MIA)
    assert live.changed()


def test_referred_files_are_watched_even_before_they_exist(write: Write, tmp_path: Path) -> None:
    live = LiveCatalog(write(MIA))
    write(MIA + BO)
    assert not live.reload().ok
    assert not live.changed()
    (tmp_path / "bo.md").write_text("You are {{char}}.")
    assert live.changed()
    assert live.reload().ok
    replaced = tmp_path / "new.md"
    replaced.write_text("I am {{char}}...!")
    status = (tmp_path / "bo.md").stat()
    os.utime(replaced, ns=(status.st_mtime_ns, status.st_mtime_ns))
    replaced.rename(tmp_path / "bo.md")  # Of the same size and time: as `cp -p` and mounted volumes do.
    assert live.changed()
