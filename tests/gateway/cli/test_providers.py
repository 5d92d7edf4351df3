from collections.abc import Sequence
from pathlib import Path

import pytest
from builders import write_personas
from click.testing import CliRunner, Result

from gateway.cli.keys import keys
from gateway.cli.providers import Declared, providers
from providers.models import ProviderKind, ProviderSpec
from providers.scripted.server import ScriptedUpstream
from providers.tokens import count_tokens
from providers.upstream.keys import ProviderKey, Secret

CANARY = "sk-canary-5f1d7c"


@pytest.fixture
def declared(scripted_upstream: ScriptedUpstream) -> Declared:
    """Two providers on the scripted upstream, one without its key, and one that needs none."""
    specs = [
        ProviderSpec(name="claude", kind=ProviderKind.anthropic, base_url=scripted_upstream.url),
        ProviderSpec(name="house", kind=ProviderKind.openai_compatible, base_url=scripted_upstream.base_url),
        ProviderSpec(name="openai", kind=ProviderKind.openai, key_env="OPENAI_API_KEY"),
        ProviderSpec(name="echo", kind=ProviderKind.echo),
    ]
    return Declared({spec.name: spec for spec in specs}, {"claude": [ProviderKey(Secret(CANARY))]})


def run(declared: Declared, words: Sequence[str], said: str = "") -> Result:
    result = CliRunner().invoke(providers, words, obj=declared, input=said)
    assert CANARY not in result.output
    return result


def test_check_tells_of_every_provider(declared: Declared) -> None:
    result = run(declared, ["check"])
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "claude: accepts the key and offers 1 model.",
        "echo: needs no key.",
        "house: answers and offers 1 model.",
        "openai: There is no key for 'openai': add one with `gateway keys add openai` or set OPENAI_API_KEY.",
    ]


def test_check_tells_of_the_named_ones_only(declared: Declared) -> None:
    result = run(declared, ["check", "house", "claude"])
    assert result.exit_code == 0
    assert [line.partition(":")[0] for line in result.output.splitlines()] == ["house", "claude"]


def test_proxies_of_the_environment_are_ignored(declared: Declared, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert run(declared, ["check", "house", "claude"]).exit_code == 0


def test_models_are_listed_one_a_line(declared: Declared) -> None:
    assert run(declared, ["models", "house"]).output == "scripted\n"


def test_the_echo_has_no_models(declared: Declared) -> None:
    result = run(declared, ["models", "echo"])
    assert result.exit_code == 1
    assert "has no list of models" in result.output


def test_both_counts_stand_side_by_side(declared: Declared, scripted_upstream: ScriptedUpstream) -> None:
    said = "How many tokens is this?"
    lines = run(declared, ["count", "claude", "claude-a"], said).output.splitlines()
    assert lines[0] == f"gateway (o200k_base): {count_tokens(said)}"
    assert lines[1].startswith("claude (claude-a): ")
    assert lines[1].rpartition(" ")[2].isdigit()
    assert scripted_upstream.requests[-1].path == "/v1/messages/count_tokens"


def test_a_provider_that_does_not_count_says_so(declared: Declared) -> None:
    assert run(declared, ["count", "house", "any"], "Hi").output.endswith("house (any): does not count\n")


def test_a_text_that_is_none_is_told(declared: Declared, tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_bytes(b"caf\xe9")
    result = run(declared, ["count", "house", "any", str(file)])
    assert (result.exit_code, result.output) == (1, f"Error: {file} is not UTF-8.\n")


@pytest.mark.parametrize("words", [["check", "hose"], ["models", "hose"], ["count", "hose", "any"]])
def test_an_unknown_name_is_told_with_the_known_ones(declared: Declared, words: list[str]) -> None:
    result = run(declared, words)
    assert result.exit_code == 1
    assert "There is no provider 'hose'; declared are: claude, echo, house, openai." in result.output


def test_a_missing_key_is_told_without_a_traceback(declared: Declared) -> None:
    result = run(declared, ["models", "openai"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: There is no key for 'openai'")


def test_without_more_words_the_keys_are_those_that_a_server_would_use(
    scripted_upstream: ScriptedUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEST_CLAUDE_KEY", "")  # so that what `.env` makes of it does not outlive the test
    monkeypatch.delenv("TEST_CLAUDE_KEY")
    write_personas(tmp_path, scripted_upstream.base_url, scripted_upstream.url)
    assert "claude: There is no key for 'claude'" in CliRunner().invoke(providers, ["check"]).output
    (tmp_path / ".env").write_text(f"TEST_CLAUDE_KEY={CANARY}")
    assert CliRunner().invoke(keys, ["add", "house"], input="the-key-of-the-house").exit_code == 0
    result = CliRunner().invoke(providers, ["check", "claude", "house"])
    assert (result.exit_code, result.output.count("accepts the key")) == (0, 2)
    assert [request.key for request in scripted_upstream.requests][-2:] == [CANARY, "the-key-of-the-house"]
