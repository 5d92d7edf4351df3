"""A good file: what becomes of it."""

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from personas.catalog import load_catalog
from personas.errors import UnknownPersona
from personas.persona import ExampleLine
from providers.models import Params, Price, ProviderKind, ProviderSpec

Write = Callable[..., str]
SHIPPED = Path(__file__).parents[2] / "personas.yaml"


def test_shipped_file_is_good_and_shows_the_format() -> None:
    catalog = load_catalog(SHIPPED)
    assert catalog.warnings == ()
    assert len(catalog.personas) >= 4
    assert {provider.kind for provider in catalog.providers.values()} >= {"openai", "anthropic", "local", "echo"}
    assert all(
        persona.stand_in == "local" and persona.summary and persona.greetings for persona in catalog.personas.values()
    )
    assert "base" not in catalog.personas


def test_shipped_file_works_with_the_commented_lines(write: Write) -> None:
    whole, lines = re.subn(r"(?m)^  # (ollama:|  kind:|  base_url:|llama:)", r"  \1", SHIPPED.read_text())
    assert lines == 4
    catalog = load_catalog(write(whole=whole))
    assert catalog.models["llama"].provider == "ollama"
    assert catalog.providers["ollama"].kind is ProviderKind.openai_compatible


def test_unknown_persona_names_the_nearest() -> None:
    catalog = load_catalog(SHIPPED)
    assert catalog.get("mia").name == "Mia"
    with pytest.raises(UnknownPersona, match=r"^There is no persona 'maia'; did you mean 'mia'\?$"):
        catalog.get("maia")
    with pytest.raises(UnknownPersona, match=r"^There is no persona 'base'\.$|did you mean"):
        catalog.get("base")


def test_providers_have_the_public_address_of_their_kind(write: Write) -> None:
    whole = """\
version: 1
providers:
  openai: {kind: openai, key_env: OPENAI_API_KEY}
  house: {kind: openai-compatible, base_url: "http://127.0.0.1:9100/v1/"}
  claude: {kind: anthropic}
  newer: {kind: anthropic, version: 2026-10-21}
models:
  a: {provider: claude, name: a, window: 8000, max_output: 100}
  b: {provider: claude, name: b, window: 8000, max_output: 100, system_anywhere: true}
  c:
    {provider: house, name: c, window: 8000, max_output: 100, safety: 2, drops: [seed, seed],
     price: {input: 0.15, output: 3, cache_read: 0.0375}}
personas: {p: {name: P, model: a}}
"""
    catalog = load_catalog(write(whole=whole))
    openai = ProviderSpec(
        name="openai", kind=ProviderKind.openai, base_url="https://api.openai.com/v1", key_env="OPENAI_API_KEY"
    )
    assert catalog.providers["openai"] == openai
    assert catalog.providers["house"].base_url == "http://127.0.0.1:9100/v1"
    assert (catalog.providers["claude"].base_url, catalog.providers["claude"].version) == (
        "https://api.anthropic.com",
        "2023-06-01",
    )
    assert catalog.providers["newer"].version == "2026-10-21"
    assert [catalog.models[name].system_anywhere for name in "abc"] == [False, True, True]
    assert catalog.models["c"].price == Price(input=Decimal("0.15"), output=Decimal(3), cache_read=Decimal("0.0375"))
    assert catalog.models["c"].drops == {"seed"}


def test_persona_takes_from_defaults_and_ancestors(write: Write, head: str) -> None:
    personas = """\
  grand: {abstract: true, persona: old, params: {temperature: 0.1, seed: 1}, variables: {a: grand, b: grand}}
  left: {extends: grand, abstract: true, persona: left, params: {seed: 2}}
  right: {extends: grand, abstract: true, tags: [right], variables: {b: right}}
  mia:
    extends: [left, right]
    name: Mia
    system: "{{a}} {{b}} {{c}}"
    params: {top_p: 0.5, max_output_tokens: 50, stop: [a]}
    examples: [[{user: Hi}, {char: Ahoy}]]
    x-notes: {any: [thing, null]}
  bo: {extends: mia, name: Bo, nickname: B, tags: [], access: {users: [bo]}}
"""
    defaults = """\
variables: {c: 3, a: file}
defaults:
  model: fast
  tags: [default]
  access: {roles: [member], listed: false}
"""
    catalog = load_catalog(write(whole=head + personas + defaults))
    mia, bo = catalog.get("mia"), catalog.get("bo")
    assert mia.params == Params(temperature=0.1, seed=2, top_p=0.5, stop=("a",))
    assert mia.max_output_tokens == 50
    assert mia.persona == "left"  # What `right` inherits does not undo what `left` says.
    assert mia.variables == {"a": "grand", "b": "right", "c": "3"}
    assert (mia.tags, bo.tags) == (("right",), ())
    assert mia.examples == ((ExampleLine("user", "Hi"), ExampleLine("char", "Ahoy")),)
    assert (bo.name, bo.char, bo.system) == ("Bo", "B", mia.system)
    assert (bo.access.roles, bo.access.users, bo.access.listed) == (("member",), ("bo",), False)
    assert list(catalog.personas) == ["mia", "bo"]


def test_texts_come_from_files_and_count_in_the_digest(write: Write, tmp_path: Path) -> None:
    personas = "  mia: {name: Mia, model: fast, system: {file: mia.md}, greetings: [{file: hi.md}]}\n"
    path = write(personas, mia="\ufeffYou are {{char}}.\r\n", hi="Hi {{user}}")
    first = load_catalog(path)
    assert (first.get("mia").system, first.get("mia").greetings) == ("You are {{char}}.\n", ("Hi {{user}}",))
    assert set(first.files) == {"personas.yaml", "mia.md", "hi.md"}
    assert load_catalog(path).digest == first.digest
    (tmp_path / "mia.md").write_text("You are someone else.")
    second = load_catalog(path)
    assert second.digest != first.digest
    assert second.get("mia").digest != first.get("mia").digest


def test_digest_of_a_persona_does_not_change_with_its_neighbours(write: Write) -> None:
    mia = "  mia: {name: Mia, model: fast}\n"
    alone = load_catalog(write(mia))
    together = load_catalog(write(mia + "  # and a friend\n  bo: {name: Bo, model: fast}\n"))
    assert alone.get("mia").digest == together.get("mia").digest
    assert alone.digest != together.digest


def test_digest_of_a_persona_changes_with_its_lorebooks_and_models(write: Write, head: str) -> None:
    mia = "  mia: {name: Mia, model: fast, lorebooks: [lore]}\n"
    lore = "lorebooks: {lore: {entries: [{id: a, content: b, always: true}]}}\n"
    texts = [
        head + mia + lore,
        head + mia + lore.replace("content: b", "content: c"),
        head.replace("8000", "9000") + mia + lore,
    ]
    assert len({load_catalog(write(whole=text)).get("mia").digest for text in texts}) == 3


def test_catalog_cannot_be_changed() -> None:
    catalog = load_catalog(SHIPPED)
    with pytest.raises(TypeError):
        catalog.personas["mia"] = catalog.personas["ada"]  # type: ignore[index]


def test_warnings_tell_what_is_probably_not_meant(write: Write, head: str) -> None:
    whole = (
        head.replace("max_output: 1000", "max_output: 1000, drops: [temperature]")
        + "  mia: {name: Mia, model: fast, params: {temperature: 1}}\n"
        + "lorebooks: {lore: {entries: [{id: a, content: b, always: true}]}}\n"
    )
    assert [str(warning) for warning in load_catalog(write(whole=whole)).warnings] == [
        "personas.yaml:7:3: 'mia' sets 'temperature', which its model 'fast' leaves out of requests.",
        "personas.yaml:7:3: nobody may talk to 'mia'; give it 'access', as in {roles: [member]}.",
        "personas.yaml:8:13: no persona uses the lorebook 'lore'; name it in 'lorebooks', or remove it.",
    ]


def test_values_are_those_of_yaml_1_2(write: Write) -> None:
    personas = "  no: {name: no, model: fast, tags: [on, 12:30], variables: {a: 0123, b: 2026-01-01, c: 0x10}}\n"
    persona = load_catalog(write(personas)).get("no")
    assert (persona.name, persona.tags) == ("no", ("on", "12:30"))
    assert persona.variables == {"a": "123", "b": "2026-01-01", "c": "16"}


def test_alias_may_be_used(write: Write) -> None:
    personas = (
        "  mia: {name: Mia, model: fast, access: &all {roles: [public]}}\n  bo: {name: Bo, model: fast, access: *all}\n"
    )
    assert load_catalog(write(personas)).get("bo").access.roles == ("public",)
