from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from providers.errors import CredentialsRefused, NoKey
from providers.events import Noticed, TextDelta
from providers.messages import Message, Role
from providers.models import Model, ModelRequest, ProviderKind, ProviderSpec
from providers.provider import Provider, Readiness
from providers.registry import Registry, base_url_of, wire_of
from providers.scripted.faults import FAULTS
from providers.scripted.server import ScriptedUpstream
from providers.upstream.keys import ProviderKey, Secret
from providers.wires.anthropic import AnthropicWire
from providers.wires.openai import OpenAIWire

pytestmark = pytest.mark.anyio

OPENAI = ProviderSpec(name="openai", kind=ProviderKind.openai, key_env="OPENAI_API_KEY")
CLAUDE = ProviderSpec(name="claude", kind=ProviderKind.anthropic, version="2026-10-21", key_env="ANTHROPIC_API_KEY")
OPEN_HOUSE = ProviderSpec(name="open", kind=ProviderKind.openai_compatible, base_url="http://127.0.0.1:9/v1")
ECHO = ProviderSpec(name="echo", kind=ProviderKind.echo)
LOCAL = ProviderSpec(name="local", kind=ProviderKind.local)
KEYS = {"openai": [ProviderKey(Secret("sk-openai"))]}


def specs(*declared: ProviderSpec) -> dict[str, ProviderSpec]:
    return {spec.name: spec for spec in declared}


def model_of(spec: ProviderSpec) -> Model:
    return Model(id=f"{spec.name}-model", provider=spec.name, name="any", window=8000, max_output=1000)


async def said_by(provider: Provider, model: Model) -> str:
    request = ModelRequest(model=model, messages=(Message(Role.user, "Hi"),), max_output_tokens=50)
    events = [event async for batch in provider.stream(request) for event in batch]
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.fixture
def house(scripted_upstream: ScriptedUpstream) -> ProviderSpec:
    return ProviderSpec(
        name="house", kind=ProviderKind.openai_compatible, base_url=scripted_upstream.base_url, key_env="HOUSE_API_KEY"
    )


@pytest.fixture
async def registry(house: ProviderSpec) -> AsyncIterator[Registry]:
    registry = Registry(specs(house, OPENAI, CLAUDE, ECHO), word_delay=0)
    await registry.start()
    yield registry
    await registry.aclose()


def test_a_kind_has_its_wire_and_its_public_address() -> None:
    assert isinstance(wire_of(OPENAI), OpenAIWire)
    assert isinstance(wire_of(OPEN_HOUSE), OpenAIWire)
    claude = wire_of(CLAUDE)
    assert isinstance(claude, AnthropicWire)
    assert claude.version == "2026-10-21"
    assert base_url_of(OPENAI) == "https://api.openai.com/v1"
    assert base_url_of(CLAUDE) == "https://api.anthropic.com"
    assert base_url_of(OPEN_HOUSE) == "http://127.0.0.1:9/v1"


async def test_models_with_a_key_answer_in_order() -> None:
    registry = Registry(specs(OPENAI, CLAUDE, OPEN_HOUSE, ECHO))
    registry.set_keys(KEYS)
    models = [model_of(spec) for spec in (CLAUDE, ECHO, OPENAI, OPEN_HOUSE)]
    found = registry.candidates(models, model_of(ECHO))
    assert [(provider.name, model.id) for provider, model in found] == [
        ("echo", "echo-model"),
        ("openai", "openai-model"),
        ("open", "open-model"),
    ]


async def test_the_stand_in_answers_when_nobody_else_can() -> None:
    registry = Registry(specs(OPENAI, ECHO))
    ((provider, model),) = registry.candidates([model_of(OPENAI)], model_of(ECHO))
    assert (provider.name, model.id) == ("echo", "echo-model")


async def test_without_a_stand_in_the_sentence_says_what_to_do() -> None:
    registry = Registry(specs(OPENAI, CLAUDE))
    with pytest.raises(NoKey) as caught:
        registry.candidates([model_of(OPENAI), model_of(CLAUDE)], model_of(CLAUDE))
    for needed in ("'openai'", "`gateway keys add openai`", "OPENAI_API_KEY", "'claude'", "ANTHROPIC_API_KEY"):
        assert needed in caught.value.message


async def test_a_model_of_a_provider_that_is_gone_is_passed_over() -> None:
    registry = Registry(specs(ECHO))
    ((provider, _),) = registry.candidates([model_of(OPENAI), model_of(ECHO)])
    assert provider.name == "echo"
    assert registry.availability("openai").readiness is Readiness.unavailable
    assert "'openai'" in registry.availability("openai").sentence


async def test_keys_arrive_and_leave_at_run_time(
    registry: Registry, house: ProviderSpec, scripted_upstream: ScriptedUpstream
) -> None:
    assert registry.availability("house").readiness is Readiness.no_key
    registry.set_keys({"house": [ProviderKey(Secret("sk-house"), scripted_upstream.url)]})
    assert registry.availability("house").readiness is Readiness.ready
    ((provider, model),) = registry.candidates([model_of(house)])
    await said_by(provider, model)
    assert scripted_upstream.requests[0].key == "sk-house"
    registry.set_keys({})
    assert registry.availability("house").readiness is Readiness.no_key


async def test_a_key_does_not_follow_its_provider_to_another_address(
    registry: Registry, house: ProviderSpec, scripted_upstream: ScriptedUpstream
) -> None:
    registry.set_keys({"house": [ProviderKey(Secret("sk-house"), "https://other.test")]})
    with pytest.raises(NoKey, match="add it again"):
        registry.candidates([model_of(house)])
    assert not scripted_upstream.requests


async def test_a_reload_keeps_the_rests_of_unchanged_providers(
    registry: Registry, house: ProviderSpec, scripted_upstream: ScriptedUpstream
) -> None:
    registry.set_keys({"house": [ProviderKey(Secret("sk-a")), ProviderKey(Secret("sk-b"))]})
    scripted_upstream.enqueue(FAULTS["wrong-key"])
    ((provider, model),) = registry.candidates([model_of(house)])
    await said_by(provider, model)
    registry.configure(specs(house, ECHO))
    ((provider, model),) = registry.candidates([model_of(house)])
    await said_by(provider, model)
    await said_by(provider, model)
    assert [request.key for request in scripted_upstream.requests] == ["sk-a", "sk-b", "sk-b", "sk-b"]


async def test_a_changed_provider_gets_the_keys_that_were_stored_for_it(registry: Registry) -> None:
    with ScriptedUpstream() as moved:
        registry.set_keys({"new": [ProviderKey(Secret("sk-new"), moved.url)]})
        new = ProviderSpec(name="new", kind=ProviderKind.anthropic, base_url=f"{moved.url}/", key_env="NEW_KEY")
        registry.configure(specs(new))
        ((provider, model),) = registry.candidates([model_of(new)])
        assert await said_by(provider, model)
        assert moved.requests[0].key == "sk-new"
        assert moved.requests[0].path == "/v1/messages"


async def test_a_bad_address_changes_nothing(registry: Registry) -> None:
    bad = ProviderSpec(name="bad", kind=ProviderKind.openai_compatible, base_url="ftp://house.test")
    with pytest.raises(ValueError, match="A provider's address"):
        registry.configure(specs(bad))
    assert registry.availability("echo").readiness is Readiness.ready


async def test_an_answer_that_runs_survives_a_reload(
    registry: Registry, house: ProviderSpec, scripted_upstream: ScriptedUpstream
) -> None:
    registry.set_keys({"house": [ProviderKey(Secret("sk-house"))]})
    scripted_upstream.enqueue("One two three four.")
    ((provider, model),) = registry.candidates([model_of(house)])
    request = ModelRequest(model=model, messages=(Message(Role.user, "Hi"),), max_output_tokens=50)
    batches = provider.stream(request)
    events = await anext(batches)
    registry.configure(specs(ECHO))
    events += [event async for batch in batches for event in batch]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "One two three four."


async def test_a_refused_key_is_an_error_of_the_provider(
    registry: Registry, house: ProviderSpec, scripted_upstream: ScriptedUpstream
) -> None:
    registry.set_keys({"house": [ProviderKey(Secret("sk-house"))]})
    scripted_upstream.enqueue(FAULTS["wrong-key"])
    ((provider, model),) = registry.candidates([model_of(house)])
    with pytest.raises(CredentialsRefused):
        await said_by(provider, model)


async def test_the_echo_takes_the_place_of_a_local_model_that_is_not_installed(tmp_path: Path) -> None:
    registry = Registry(specs(LOCAL, OPENAI), weights=tmp_path / "missing.gguf")
    await registry.start()
    availability = registry.availability("local")
    assert availability.readiness is Readiness.unavailable
    ((provider, model),) = registry.candidates([model_of(OPENAI)], model_of(LOCAL))
    request = ModelRequest(model=model, messages=(Message(Role.user, "Hi"),), max_output_tokens=50)
    first = await anext(provider.stream(request))
    await registry.aclose()
    assert isinstance(first[0], Noticed)
    assert first[0].sentence.startswith(availability.sentence)
    assert "echo" in first[0].sentence


async def test_a_model_with_a_key_goes_before_a_local_one_that_cannot_run(tmp_path: Path) -> None:
    registry = Registry(specs(LOCAL, OPENAI), weights=tmp_path / "missing.gguf")
    registry.set_keys(KEYS)
    ((provider, _),) = registry.candidates([model_of(LOCAL), model_of(OPENAI)])
    assert provider.name == "openai"
