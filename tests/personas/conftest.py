"""Files of personas to test with."""

from collections.abc import Callable
from pathlib import Path

import pytest

HEAD = """\
version: 1
providers:
  house: {kind: echo}
models:
  fast: {provider: house, name: some-model, window: 8000, max_output: 1000}
personas:
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Writes a personas.yaml (and texts beside it) into the current directory, and gives its name.

    The texts of `personas` begin in line 7, after a provider and a model.
    """
    monkeypatch.chdir(tmp_path)

    def write_file(personas: str = "", *, whole: str | None = None, **texts: str) -> str:
        for name, text in texts.items():
            (tmp_path / f"{name}.md").write_text(text)
        (tmp_path / "personas.yaml").write_text(HEAD + personas if whole is None else whole)
        return "personas.yaml"

    return write_file


@pytest.fixture
def head() -> str:
    return HEAD
