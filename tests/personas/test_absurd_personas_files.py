"""Values that nobody means: each is told with its place, and none ends in a traceback."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personas.catalog import load_catalog
from personas.errors import PersonaFileError

Write = Callable[..., str]
MIA = "  mia: {name: Mia, model: fast}\n"


def problems(path: str) -> list[str]:
    with pytest.raises(PersonaFileError) as caught:
        load_catalog(path)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("number", "quoted"),
    [
        ("9" * 20_000, "9" * 40),
        ("-" + "9" * 20_000, "-" + "9" * 39),
        ("0x" + "f" * 20_000, "0x" + "f" * 38),
        ("0." + "1" * 20_000, "0." + "1" * 38),
        ("9223372036854775808", "9223372036854775808"),
        ("1e999", "1e999"),
        ("-.inf", "-.inf"),
        (".nan", ".nan"),
    ],
    ids=lambda text: text[:8],
)
@pytest.mark.parametrize("place", ["seed: ", "extra: {logit_bias: "])
def test_a_number_out_of_range_is_told(write: Write, place: str, number: str, quoted: str) -> None:
    end = "}" * (1 + place.count("{"))
    path = write(f"  mia: {{name: Mia, model: fast, params: {{{place}{number}{end}}}\n")
    column = 42 + len(place)
    assert problems(path) == [
        f"personas.yaml:7:{column}: {quoted!r} is out of range; write a finite number of at most 18 digits."
    ]


def test_the_largest_and_the_smallest_number_are_taken(write: Write) -> None:
    for seed in (2**63 - 1, 1 - 2**63):
        catalog = load_catalog(write(f"  mia: {{name: Mia, model: fast, params: {{seed: {seed}}}}}\n"))
        assert catalog.personas["mia"].params.seed == seed


def test_what_is_no_number_is_told_once(write: Write, head: str) -> None:
    assert problems(write(whole=head.replace("8000", "!!int many") + MIA)) == [
        "personas.yaml:5:53: 'many' is not a number; put text in quotes."
    ]


@pytest.mark.parametrize(
    ("whole", "expected"),
    [
        ("!odd {a: b}\n", "1:1: the tag '!odd' is not allowed; remove it."),
        ("{a: b}: c\n", "1:1: text that begins with '{{' is read as a map; put it in quotes."),
        ("[a]: b\n", "1:1: a key is text; put it in quotes, or correct it."),
    ],
)
def test_a_file_that_is_no_map_is_told(write: Write, whole: str, expected: str) -> None:
    assert f"personas.yaml:{expected}" in problems(write(whole=whole))


def test_a_key_that_holds_half_a_character_is_told(write: Write) -> None:
    assert problems(write(MIA + '"\\ud800": 1\n')) == [
        "personas.yaml:8:1: a key is text; put it in quotes, or correct it."
    ]


@pytest.mark.parametrize(
    ("personas", "expected"),
    [
        ("  extra: {name: , model: fast}\n", "7:11: 'name' has no value; give it one, or remove it."),
        ("  x-ray: {name: , model: fast}\n", "7:11: 'name' has no value; give it one, or remove it."),
        (
            "  mia: {name: Mia, model: fast, params: {extra: }}\n",
            "7:42: 'extra' has no value; give it one, or remove it.",
        ),
    ],
)
def test_a_missing_value_is_told_whatever_the_entry_is_called(write: Write, personas: str, expected: str) -> None:
    assert problems(write(personas)) == [f"personas.yaml:{expected}"]


def test_notes_and_fields_of_requests_may_be_null(write: Write) -> None:
    load_catalog(write("  mia: {name: Mia, model: fast, x-note: , params: {extra: {user: , a: {b: }}}}\nx-todo:\n"))


@pytest.mark.parametrize("host", ["a..b", "h:99999", "h:0", "h:port", "[::zz]", "a" * 64 + ".test"])
def test_an_address_that_cannot_be_asked_is_told(write: Write, head: str, host: str) -> None:
    provider = f"{{kind: openai-compatible, base_url: 'http://{host}/v1'}}"
    assert problems(write(whole=head.replace("{kind: echo}", provider) + MIA)) == [
        "personas.yaml:3:46: the address has a host or a port that cannot be; write it as in http://127.0.0.1:8000/v1."
    ]


def test_what_is_quoted_is_bearable_and_holds_no_key(write: Write) -> None:
    key = "sk-ant-abcdefghijklmnopqrstuvwxyz"
    for value in (key, f"[{key}]", '"' + "x" * 100_000 + '"', '"a\\nb\\e[31m"'):
        told = problems(write(f"  mia: {{name: Mia, model: {value}, show_prompt: {value}, ? {value} : 1}}\n"))
        assert len(told) > 1
        for problem in told:
            assert key not in problem
            assert problem.isprintable()
            assert len(problem) < 700


ABSURD = [
    *("9" * 5000, "-1", "0", "1.5", ".nan", "1e999", "0x" + "f" * 9000, "18446744073709551616", "~", "true"),
    *(
        "''",
        "'\\0'",
        '"\\0"',
        '"\\ud800"',
        '"\\u2028"',
        '"a\\nb"',
        "'{{'",
        "'{{}}'",
        "'{{char'",
        "'" + "{{" * 500 + "'",
    ),
    *("[]", "{}", "[[]]", "[null]", "{a: 1}", "{null: 1}", "{? [a] : b}", "{? {a: b} : c}", "{'': 1}", "{file: 5}"),
    *("{file: .}", "{file: " + "a" * 5000 + "}", "&a [*a]", "!!int x", "!!null x", "!!binary aGk=", "! x", "!x {a: 1}"),
    *(
        "http://a..b/v1",
        "'http://[::zz]/v1'",
        "x-ray",
        "extra",
        "params",
        "2024-01-01",
        "\ufeff",
        "'sk-" + "a" * 40 + "'",
    ),
]
WHOLE: dict[str, Any] = {
    "version": "1",
    "providers": {
        "house": {"kind": "openai-compatible", "base_url": '"http://127.0.0.1:9/v1"', "key_env": "HOUSE_KEY"}
    },
    "models": {
        "fast": {
            "provider": "house",
            "name": "some",
            "window": "8000",
            "max_output": "1000",
            "safety": "1.1",
            "drops": ["seed"],
            "system_anywhere": "true",
            "price": {"input": "0.1", "output": "0.2"},
        }
    },
    "variables": {"city": "Berlin", "count": "5"},
    "defaults": {"model": "fast", "access": {"roles": ["member"], "users": ["ada"], "listed": "true"}},
    "lorebooks": {"lore": {"budget_tokens": "64", "entries": [{"id": "a", "keys": ["moon"], "content": "The moon"}]}},
    "personas": {
        "base": {"abstract": "true", "system": "You"},
        "mia": {
            "extends": "base",
            "name": "Mia",
            "tags": ["a"],
            "system": "'You are {{char}} in {{city}}'",
            "examples": [[{"user": "a"}, {"char": "b"}]],
            "greetings": ["Hi"],
            "fallbacks": ["fast"],
            "params": {"temperature": "0.5", "stop": ["x"], "seed": "4", "extra": {"logit_bias": "3"}},
            "context": {"low_water": "0.5", "min_turns": "2"},
            "lorebooks": ["lore"],
            "show_prompt": "users",
        },
    },
    "x-note": "hello",
}
Place = tuple[str | int, ...]


def places(value: Any, path: Place = ()) -> list[Place]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for step, inner in steps for place in places(inner, (*path, step)))]


def replaced(value: Any, place: Place, new: str, *, key: bool) -> Any:
    if not place:
        return new
    step, *rest = place
    if isinstance(value, dict):
        name = new if key and not rest else step
        inner = value[step] if key and not rest else replaced(value[step], tuple(rest), new, key=key)
        return {(name if old == step else old): (inner if old == step else kept) for old, kept in value.items()}
    return [replaced(kept, tuple(rest), new, key=key) if at == step else kept for at, kept in enumerate(value)]


def flow(value: Any) -> str:
    """As YAML in which scalars stand as they are."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"? {key} : {flow(inner)}" for key, inner in value.items()) + "}"
    return "[" + ", ".join(map(flow, value)) + "]" if isinstance(value, list) else str(value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(places(WHOLE)), st.sampled_from(ABSURD), st.booleans())
def test_an_absurd_value_anywhere_is_taken_or_told(write: Write, place: Place, absurd: str, key: bool) -> None:
    path = write(whole=flow(replaced(WHOLE, place, absurd, key=key)) + "\n")
    with suppress(PersonaFileError):
        load_catalog(path)
