"""What stops `gateway serve` before it serves is told in a sentence, and so is what is not as it should be."""

import os
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest
from builders import write_personas
from click.testing import CliRunner

from gateway.cli.serve import serve
from gateway.cli.users import users


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with personas and without any data yet."""
    monkeypatch.chdir(tmp_path)
    write_personas(tmp_path, "http://127.0.0.1:9/v1", "http://127.0.0.1:9")
    monkeypatch.setattr("gateway.cli.serve.configure_logging", lambda level: None)  # the handlers are pytest's
    return tmp_path


def refused(*arguments: str) -> str:
    """What is told, after "Error: "."""
    result = CliRunner().invoke(serve, ["--port", "0", *arguments])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit), result.exception
    return result.stderr.partition("Error: ")[2].strip()


LARGEST = "Input should be less than or equal to"


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("DRAIN_SECONDS", "inf", f"{LARGEST} 1000000"),
        ("DRAIN_SECONDS", "nan", f"{LARGEST} 1000000"),
        ("LOGIN_DAYS", "1e300", f"{LARGEST} 36500"),
        ("LOGIN_IDLE_DAYS", "1e999", f"{LARGEST} 36500"),
        ("TURNS_PER_MINUTE", "9" * 20, f"{LARGEST} 1000000"),
        ("TURNS_PER_MINUTE", "9" * 20_000, "Unable to parse input string as an integer, exceeded maximum size"),
        ("CONCURRENT_TURNS", "9" * 20, f"{LARGEST} 1000000"),
        ("OPEN_STREAMS", "9" * 20, f"{LARGEST} 1000000"),
    ],
)
def test_absurd_settings(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str) -> None:
    monkeypatch.setenv(f"GATEWAY_{name}", value)
    assert refused() == f"the settings cannot be used.\nGATEWAY_{name}: {why}"


@pytest.mark.parametrize("content", [b"GATEWAY_SIGNUP=\xe9pen\n", b"GATEWAY_SIGNUP=o\0pen\n"])
def test_an_env_file_that_is_no_text(folder: Path, content: bytes) -> None:
    (folder / ".env").write_bytes(content)
    assert refused() == "the file .env cannot be read as UTF-8 text without NUL. Correct it."


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nonsense", "The database address is not an URL like sqlite:///gateway.db."),
        ("postgresql://u:se:cret@h:cret/x", "The database address is not an URL like sqlite:///gateway.db."),
        (
            "postgresql://u:secret@127.0.0.1:9/x?sslmode=require",
            ("The database address has an unknown option, 'sslmode'. Remove it; TLS to PostgreSQL is ?ssl=require."),
        ),
        (
            "sqlite:///x.db?mode=ro",
            "The database address has an unknown option, 'mode'. Remove it; TLS to PostgreSQL is ?ssl=require.",
        ),
    ],
)
def test_a_database_address_that_is_none(folder: Path, monkeypatch: pytest.MonkeyPatch, url: str, why: str) -> None:
    monkeypatch.setenv("GATEWAY_DATABASE_URL", url)
    assert refused() == why


def test_a_data_folder_that_is_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "data").write_text("a file")
    sentence = (
        "data cannot be made, or is no folder (File exists). "
        "Set GATEWAY_DATA_DIR to a folder that the gateway may write to."
    )
    assert refused() == sentence
    assert CliRunner().invoke(users, ["list"]).stderr == f"Error: {sentence}\n"


def test_a_data_folder_that_cannot_be_written_to(folder: Path) -> None:
    (folder / "data" / "gateway.db.lock").mkdir(parents=True)  # a missing permission would not stop root
    assert refused() == (
        "data/gateway.db.lock cannot be opened (Is a directory). Make its folder one that the gateway may write to."
    )


def test_a_host_that_is_no_name(folder: Path) -> None:
    assert refused("--host", "a..b") == (
        "cannot listen on a..b:0: that is no host name. "
        "Choose --host and --port, or with make, HOST= and PORT=: `make run PORT=8001`."
    )


def test_the_start_tells_of_a_misspelt_setting_and_of_a_folder_that_others_look_into(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data").chmod(0o750)
    server = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "serve", "--port", "0"],
        env={**os.environ, "GATEWAY_SIGNUPS": "open"},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert server.stdout is not None
    with server:
        told = list(takewhile(lambda line: not line.startswith("Without a provider key"), server.stdout))
        server.terminate()
    assert told[0] == "warning: there is no setting GATEWAY_SIGNUPS; did you mean 'GATEWAY_SIGNUP'?\n"
    assert "warning: others can look into data, where chats and the master key are kept.\n" in told
    assert "  Take that away: chmod 700 data\n" in told
