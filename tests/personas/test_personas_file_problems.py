"""Every way to get personas.yaml wrong, with the exact place and sentence that the operator reads."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from personas.catalog import load_catalog
from personas.errors import PersonaFileError

Write = Callable[..., str]
MIA = "  mia: {name: Mia, model: fast, access: {roles: [member]}}\n"


def problems(path: str) -> list[str]:
    with pytest.raises(PersonaFileError) as caught:
        load_catalog(path)
    return [str(problem) for problem in caught.value.problems]


YAML_SLIPS = {
    "tab": ("  mia:\n\tname: Mia\n", "8:1: a tab cannot indent; use blanks."),
    "bare macro": (
        "  mia:\n    system: {{user}} is here\n    model: fast\n",
        "8:13: text that begins with '{{' is read as a map; put it in quotes.",
    ),
    "bare macro alone": (
        "  mia:\n    name: {{user}}\n    model: fast\n",
        "8:12: text that begins with '{{' is read as a map; put it in quotes.",
    ),
    "at sign": ("  mia:\n    summary: @mia\n", "8:14: a value cannot begin with '@'; put it in quotes."),
    "no blank after the colon": (
        "  mia:\n    name:Mia\n    model: fast\n",
        "8:9: there is no blank after the colon; write 'key: value'.",
    ),
    "no blank after any colon": (
        "  mia:\n    name:Mia\n",
        "8:5: personas.mia: expected keys with values, with a blank after each colon.",
    ),
    "unquoted colon": (
        "  mia:\n    summary: Mia: a helper\n    model: fast\n",
        "8:17: text that holds ': ' is read as another key; put it in quotes.",
    ),
    "quote never closed": (
        "  mia:\n    name: 'Mia\n",
        "8:11: this is not YAML (found unexpected end of stream); check quotes, brackets and indentation.",
    ),
    "duplicate key": (
        "  mia:\n    name: Mia\n    model: fast\n    name: Mio\n",
        "10:5: duplicate key 'name', first given in line 8; remove one of them.",
    ),
    "duplicate persona": (MIA + MIA, "8:3: duplicate key 'mia', first given in line 7; remove one of them."),
    "tag": (MIA + "x-a: !secret 1\n", "8:6: the tag '!secret' is not allowed; remove it."),
    "merge key": (
        "  mia:\n    <<: {nickname: Mi}\n    name: Mia\n    model: fast\n",
        "8:5: '<<' is not part of YAML 1.2; use 'extends'.",
    ),
    "endless alias": (
        MIA + "x-a: &a [*a]\n",
        "8:6: too many or too deeply nested values; use fewer aliases.",
    ),
    "unknown alias": (
        MIA + "x-a: *zz\n",
        "8:6: this is not YAML (found undefined alias 'zz'); check quotes, brackets and indentation.",
    ),
    "control character": (MIA + 'x-a: "a\x01"\n', "8:8: not a character that YAML allows; remove it."),
    "surrogate": (
        MIA + 'x-a: "\\ud800"\n',
        "8:6: half a surrogate pair is not a character; write the character itself.",
    ),
}

FORMAT_SLIPS = {
    "unknown key": (
        "  mia: {name: Mia, model: fast, params: {temprature: 1}}\n",
        "7:42: personas.mia.params: unknown key 'temprature'; did you mean 'temperature'?",
    ),
    "unknown section": (
        MIA + "grups: {}\n",
        (
            "8:1: unknown key 'grups'; the keys here are version, providers, models, variables, defaults, lorebooks,"
            " personas."
        ),
    ),
    "id": (
        "  Mia: {name: Mia, model: fast}\n",
        "7:3: personas: an id has lower-case letters, digits, '-' and '_', and begins with a letter.",
    ),
    "number for text": (
        "  mia: {name: 12, model: fast}\n",
        "7:15: personas.mia.name: expected text; put it in quotes.",
    ),
    "yes for true": (
        "  mia: {name: Mia, model: fast, abstract: yes}\n",
        "7:43: personas.mia.abstract: expected true or false.",
    ),
    "too hot": (
        "  mia: {name: Mia, model: fast, params: {temperature: 3}}\n",
        "7:55: personas.mia.params.temperature: must be at most 2.0.",
    ),
    "five stops": (
        "  mia: {name: Mia, model: fast, params: {stop: [a, b, c, d, e]}}\n",
        "7:48: personas.mia.params.stop: may have at most 4.",
    ),
    "unknown role": (
        "  mia: {name: Mia, model: fast, access: {roles: [membr]}}\n",
        (
            "7:50: personas.mia.access.roles.0: 'membr' is not known; write 'public', 'participant', 'member',"
            " 'moderator' or 'admin'; did you mean 'member'?"
        ),
    ),
    "no value": (
        "  mia:\n    name: Mia\n    model: fast\n    system:\n",
        "10:5: 'system' has no value; give it one, or remove it.",
    ),
    "example without a speaker": (
        "  mia: {name: Mia, model: fast, examples: [[{user: a, char: b}]]}\n",
        "7:45: write either 'user' or 'char'.",
    ),
    "variable like a macro": (
        MIA + "variables: {time: noon}\n",
        "8:13: 'time' is a macro; choose another name.",
    ),
    "macro in a variable": (
        MIA + 'variables: {a: "{{char}}"}\n',
        "8:17: macros are not rendered here; write the text itself.",
    ),
    "extra that we set": (
        "  mia: {name: Mia, model: fast, params: {extra: {stream: false}}}\n",
        "7:50: 'stream' is set by the gateway; use the key of params, or remove it.",
    ),
}

MEANING_SLIPS = {
    "unknown model": (
        "  mia: {name: Mia, model: fats}\n",
        "7:27: there is no model 'fats'; did you mean 'fast'?",
    ),
    "unknown fallback": (
        "  mia: {name: Mia, model: fast, fallbacks: [fast, slow]}\n",
        "7:51: there is no model 'slow'.",
    ),
    "unknown parent": (
        "  mia: {name: Mia, model: fast, extends: bse}\n  base: {abstract: true}\n",
        "7:42: there is no persona 'bse'; did you mean 'base'?",
    ),
    "unknown lorebook": (
        MIA.replace("access", "lorebooks: [lor], access")
        + "lorebooks: {lore: {entries: [{id: a, content: b, always: true}]}}\n",
        "7:45: there is no lorebook 'lor'; did you mean 'lore'?",
    ),
    "circle": (
        "  a: {extends: b, name: A, model: fast}\n  b: {extends: c}\n  c: {extends: a}\n",
        "7:16: extends itself: a -> b -> c -> a; break the circle.",
    ),
    "nine levels": (
        "  p0: {name: P, model: fast}\n" + "".join(f"  p{n}: {{extends: p{n - 1}}}\n" for n in range(1, 10)),
        "16:17: extends through more than 8 levels; merge some.",
    ),
    "no model": ("  mia: {name: Mia}\n", "7:3: personas.mia has no 'model'; add it, or make the persona abstract."),
    "unknown macro": (
        "  mia:\n    name: Mia\n    model: fast\n    system: |\n      Hello,\n      you are {{chr}}.\n",
        "12:15: there is no macro 'chr'; did you mean 'char'?",
    ),
    "macro never closed": (
        '  mia: {name: Mia, model: fast, system: "Hello {{user}"}\n',
        "7:48: this '{{' is never closed; write '}}', or a single brace.",
    ),
    "clock in the prefix": (
        '  mia: {name: Mia, model: fast, scenario: "It is {{time}}."}\n',
        (
            "7:50: '{{time}}' may stand in post_history and in lore with keys only: here it would void the provider's"
            " cache every minute; use '{{date}}'."
        ),
    ),
    "empty greeting": (
        '  mia: {name: Mia, model: fast, greetings: [" "]}\n',
        "7:45: the greeting is empty; write one, or remove it.",
    ),
    "key in a text": (
        '  mia: {name: Mia, model: fast, system: "Use sk-abcdefghijklmnopqrstuvwxyz0123."}\n',
        "7:46: this looks like a key; remove it, store it with `gateway keys add`, and revoke it.",
    ),
    "texts over the budget": (
        f'  mia: {{name: Mia, model: fast, system: "{"word " * 8000}"}}\n',
        (
            "7:3: the fixed texts of 'mia' need 8005 tokens (system 8005), and the budget of model 'fast' is 7000;"
            " shorten them, or use a model with a larger window."
        ),
    ),
    "nothing left of the window": (
        "  mia: {name: Mia, model: fast, context: {reserve_output: 9000}}\n",
        "7:3: 'mia' reserves the whole window of model 'fast'; make reserve_output smaller.",
    ),
    "lore that is never sent": (
        MIA + "lorebooks: {lore: {entries: [{id: a, content: b}]}}\n",
        "8:30: would never be sent; give it 'keys', or 'always: true'.",
    ),
}


@pytest.mark.parametrize(
    ("personas", "expected"),
    [pytest.param(*slip, id=name) for name, slip in {**YAML_SLIPS, **FORMAT_SLIPS, **MEANING_SLIPS}.items()],
)
def test_slip_is_told_with_its_place(write: Write, personas: str, expected: str) -> None:
    assert problems(write(personas)) == [f"personas.yaml:{expected}"]


HEAD_SLIPS = {
    "unknown provider": (
        "provider: house",
        "provider: hosue",
        "5:20: there is no provider 'hosue'; did you mean 'house'?",
    ),
    "no address": (
        "{kind: echo}",
        "{kind: openai-compatible}",
        "3:3: an openai-compatible provider needs 'base_url'; add it.",
    ),
    "key in the address": (
        "{kind: echo}",
        '{kind: openai-compatible, base_url: "https://user:pass@host/v1"}',
        "3:46: providers.house.base_url: write an http(s) address without user, query or fragment.",
    ),
    "query in the address": (
        "{kind: echo}",
        '{kind: openai, base_url: "https://host/v1?a=b"}',
        "3:35: providers.house.base_url: write an http(s) address without user, query or fragment.",
    ),
    "address too long": (
        "{kind: echo}",
        '{kind: anthropic, base_url: "https://host/v1"}',
        "3:38: the address must end before the path of the wire, as in https://api.anthropic.com.",
    ),
    "our own variable": (
        "{kind: echo}",
        "{kind: openai, key_env: GATEWAY_MASTER_KEY}",
        "3:34: variables named GATEWAY_* are the gateway's own; name another.",
    ),
    "version of openai": (
        "{kind: echo}",
        "{kind: openai, version: 2023-06-01}",
        "3:25: only anthropic has a version; remove it.",
    ),
    "unknown kind": (
        "{kind: echo}",
        "{kind: ehco}",
        (
            "3:17: providers.house.kind: 'ehco' is not known; write 'openai', 'openai-compatible', 'anthropic', 'local'"
            " or 'echo'; did you mean 'echo'?"
        ),
    ),
    "small window": (
        "window: 8000, max_output: 1000",
        "window: 100, max_output: 50",
        "5:53: models.fast.window: must be at least 512.",
    ),
    "no window": (" window: 8000,", "", "5:3: models.fast.window: is missing; add it."),
    "output over the window": (
        "max_output: 1000",
        "max_output: 8000",
        "5:71: 8000 leaves nothing of the window of 8000 for the prompt; make it smaller.",
    ),
    "version of the format": ("version: 1", "version: 2", "1:10: version: 2 is not known; write 1."),
}


@pytest.mark.parametrize(
    ("right", "wrong", "expected"), [pytest.param(*slip, id=name) for name, slip in HEAD_SLIPS.items()]
)
def test_slip_in_providers_and_models_is_told(write: Write, head: str, right: str, wrong: str, expected: str) -> None:
    assert right in head
    assert problems(write(whole=head.replace(right, wrong) + MIA)) == [f"personas.yaml:{expected}"]


def test_all_mistakes_are_told_at_once(write: Write, head: str) -> None:
    whole = head.replace("echo", "ehco") + "  mia:\n    nam: Mia\n    model: fats\n    system: '{{usr}}'\n"
    assert [problem.split(": ", 1)[0] for problem in problems(write(whole=whole))] == [
        "personas.yaml:3:17",
        "personas.yaml:7:3",
        "personas.yaml:8:5",
        "personas.yaml:9:12",
        "personas.yaml:10:14",
    ]


def test_key_is_not_repeated_in_the_problem(write: Write, head: str) -> None:
    key = "sk-ant-abcdefghijklmnopqrstuvwxyz"
    told = problems(write(whole=head.replace("{kind: echo}", f"{{kind: openai, key_env: {key}}}") + MIA))
    assert [problem.split(": ", 1)[0] for problem in told] == ["personas.yaml:3:34"] * 2
    assert key not in "".join(told)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "- a\n"])
def test_file_without_keys_is_told(write: Write, text: str) -> None:
    assert problems(write(whole=text)) == [
        "personas.yaml:1:1: expected keys such as 'version' and 'personas'; see docs/personas.md."
    ]


def test_aliases_that_multiply_are_refused(write: Write) -> None:
    levels = "".join(f"x-{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 8))
    assert problems(write(MIA + "x-0: &l0 [a]\n" + levels))[0].endswith(
        "too many or too deeply nested values; use fewer aliases."
    )


def test_deep_nesting_is_refused(write: Write) -> None:
    assert problems(write(whole="[\n" * 1500)) == ["personas.yaml:1:1: nested too deeply; remove some levels."]


def test_missing_file_is_told(tmp_path: Path) -> None:
    assert problems(str(tmp_path / "none.yaml")) == [
        f"{tmp_path}/none.yaml:1:1: cannot be used: there is no such file."
    ]


def test_large_file_is_refused(write: Write) -> None:
    assert problems(write(MIA + "#" * 1024 * 1024)) == [
        "personas.yaml:1:1: cannot be used: the file is larger than 1024 KB."
    ]


def test_problem_in_a_referred_text_names_that_file(write: Write) -> None:
    path = write(
        "  mia: {name: Mia, model: fast, system: {file: mia.md}}\n", mia="You are {{char}},\nand {{usr}} is not.\n"
    )
    assert problems(path) == ["mia.md:2:5: there is no macro 'usr'; did you mean 'user'?"]


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("none.md", "there is no such file"),
        ("/etc/hostname", "the path must be relative to the directory of this file"),
        ("../secret.md", "the file is outside the directory of this file"),
        ("link.md", "the file is outside the directory of this file"),
        ("large.md", "the file is larger than 256 KB"),
        ("latin.md", "the file is not UTF-8"),
        ("pipe.md", "there is no such file"),
    ],
)
def test_text_file_that_cannot_be_used_is_told(write: Write, tmp_path: Path, reference: str, why: str) -> None:
    path = write(f"  mia: {{name: Mia, model: fast, system: {{file: {reference}}}}}\n", large="a" * (256 * 1024 + 1))
    (tmp_path / "latin.md").write_bytes(b"\xe9")
    (tmp_path / "link.md").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "pipe.md")
    assert problems(path) == [f"personas.yaml:7:48: {reference!r} cannot be used: {why}."]
