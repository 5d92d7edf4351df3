"""A persona as a value: who is admitted, who reads its prompt, and what its digest depends on."""

import hashlib
import json
import subprocess
import sys
from decimal import Decimal

import msgspec
import pytest

from personas.persona import Access, Persona
from providers.models import Model, Price

MODEL = Model(
    id="fast", provider="house", name="some", window=8000, max_output=1000, drops=frozenset({"seed", "stop", "top_p"})
)


def make_persona(model: Model = MODEL, **fields: object) -> Persona:
    return Persona(id="mia", name="Mia", model="fast", models={"fast": model}, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("named", "admitted"),
    [
        ((), set()),
        (("public",), {"guest", "member", "moderator", "admin"}),
        (("participant",), {"member", "moderator", "admin"}),
        (("member",), {"member", "moderator", "admin"}),
        (("moderator",), {"moderator", "admin"}),
        (("admin",), {"admin"}),
        (("admin", "member"), {"member", "moderator", "admin"}),
    ],
)
def test_role_admits_those_above_it(named: tuple[str, ...], admitted: set[str]) -> None:
    persona = make_persona(access=Access(roles=named))
    assert {role for role in ("guest", "member", "moderator", "admin") if persona.admits(role, "bo")} == admitted


def test_username_is_admitted_whatever_the_role_and_exactly() -> None:
    persona = make_persona(access=Access(users=("bo",)))
    assert persona.admits("member", "bo")
    assert not persona.admits("admin", "Bo")


@pytest.mark.parametrize(
    ("show_prompt", "readers"),
    [("users", {"member", "moderator", "admin"}), ("operators", {"admin"}), ("nobody", set())],
)
def test_prompt_is_shown_to_whom_it_says(show_prompt: str, readers: set[str]) -> None:
    persona = make_persona(show_prompt=show_prompt)
    assert {role for role in ("member", "moderator", "admin") if persona.shows_prompt(role)} == readers


def test_digest_is_that_of_the_canonical_json() -> None:
    persona = make_persona()
    assert persona.digest == hashlib.sha256(persona.canonical()).hexdigest()
    told = json.loads(persona.canonical())
    assert (told["name"], told["models"]["fast"]["drops"]) == ("Mia", ["seed", "stop", "top_p"])


def test_digest_is_the_same_in_another_process() -> None:
    code = (
        "from personas.persona import Persona; from providers.models import Model;"
        "model = Model(id='fast', provider='house', name='some', window=8000, max_output=1000,"
        " drops=frozenset({'seed', 'stop', 'top_p'}));"
        "print(Persona(id='mia', name='Mia', model='fast', models={'fast': model}).digest)"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert told == {make_persona().digest}


def test_digest_changes_with_what_is_sent_and_not_with_prices() -> None:
    priced = Price(input=Decimal(1), output=Decimal(2))
    digests = {
        make_persona().digest,
        make_persona(system="Be kind.").digest,
        make_persona(Model(id="fast", provider="house", name="other", window=8000, max_output=1000)).digest,
    }
    assert len(digests) == 3
    assert make_persona(msgspec.structs.replace(MODEL, price=priced)).digest == make_persona().digest
