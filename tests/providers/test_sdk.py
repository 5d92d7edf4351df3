import json
import subprocess
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import httpcore2
import pytest
import respx
from respx.mocks import HTTPCoreMocker

from providers.errors import (
    CredentialsRefused,
    NoKey,
    Overloaded,
    ProtocolError,
    ProviderError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from providers.models import ProviderKind, ProviderSpec
from providers.sdk import count_tokens, model_names
from providers.upstream.keys import ProviderKey, Secret

CANARY = "sk-canary-5f1d7c"
KEYS = [ProviderKey(Secret(CANARY))]
OPENAI = ProviderSpec(name="openai", kind=ProviderKind.openai, key_env="OPENAI_API_KEY")
HOUSE = ProviderSpec(name="house", kind=ProviderKind.openai_compatible, base_url="http://house.test/v1")
CLAUDE = ProviderSpec(name="claude", kind=ProviderKind.anthropic, version="2026-10-21")
OLD_CLAUDE = ProviderSpec(name="claude", kind=ProviderKind.anthropic)
OPENAI_MODELS = "https://api.openai.com/v1/models"
CLAUDE_MODELS = "https://api.anthropic.com/v1/models"
ADDRESSES = {"openai": OPENAI_MODELS, "claude": CLAUDE_MODELS}


class SDKMocker(HTTPCoreMocker):
    """The SDKs speak through httpcore2, which respx does not know by itself."""

    name = "httpcore2-of-the-sdks"
    targets = [target.replace("httpcore.", "httpcore2.", 1) for target in HTTPCoreMocker.targets]


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[respx.MockRouter]:
    """Mocked addresses, in an environment full of traps."""
    for family in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{family}_API_KEY", "sk-trap")
        monkeypatch.setenv(f"{family}_BASE_URL", "http://trap.test")
        monkeypatch.setenv(f"{family}_CUSTOM_HEADERS", "x-trap: sprung")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-trap")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-trap")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "sk-trap")
    monkeypatch.setenv("HTTPS_PROXY", "http://trap.test")
    with respx.mock(using=SDKMocker.name) as router:
        yield router


def offer(*names: str) -> dict[str, object]:
    models = [{"id": name, "object": "model", "type": "model", "created": 1, "owned_by": "nobody"} for name in names]
    return {"object": "list", "data": models, "has_more": False}


def test_models_are_listed_with_nothing_of_the_environment(upstream: respx.MockRouter) -> None:
    route = upstream.get(OPENAI_MODELS).respond(json=offer("gpt-a", "gpt-b"))
    assert model_names(OPENAI, KEYS) == ["gpt-a", "gpt-b"]
    headers = route.calls.last.request.headers
    assert headers["authorization"] == f"Bearer {CANARY}"
    assert "trap" not in str(headers.raw)


@pytest.mark.parametrize(
    ("spec", "sent", "left_out"),
    [
        (CLAUDE, {"authorization": f"Bearer {CANARY}", "anthropic-version": "2026-10-21"}, "x-api-key"),
        (OLD_CLAUDE, {"x-api-key": CANARY, "anthropic-version": "2023-06-01"}, "authorization"),
    ],
)
def test_anthropic_is_asked_in_the_words_of_its_version(
    upstream: respx.MockRouter, spec: ProviderSpec, sent: dict[str, str], left_out: str
) -> None:
    route = upstream.get(CLAUDE_MODELS).respond(json=offer("claude-a"))
    assert model_names(spec, KEYS) == ["claude-a"]
    headers = route.calls.last.request.headers
    assert sent.items() <= dict(headers).items()
    assert left_out not in headers
    assert "trap" not in str(headers.raw)


def test_a_server_that_needs_no_key_is_asked_without_one(upstream: respx.MockRouter) -> None:
    upstream.get("http://house.test/v1/models").respond(json=offer("llama"))
    assert model_names(HOUSE, []) == ["llama"]


def test_without_a_key_nobody_is_asked(upstream: respx.MockRouter) -> None:
    with pytest.raises(NoKey, match="gateway keys add openai"):
        model_names(OPENAI, [])
    with pytest.raises(NoKey, match="add it again"):
        model_names(OPENAI, [ProviderKey(Secret(CANARY), "https://elsewhere.test")])
    assert not upstream.calls


@pytest.mark.parametrize(
    ("spec", "address", "asked"),
    [
        (
            CLAUDE,
            "https://api.anthropic.com/v1/messages/count_tokens",
            {"model": "a", "messages": [{"role": "user", "content": "How long is this?"}]},
        ),
        (OPENAI, "https://api.openai.com/v1/responses/input_tokens", {"model": "a", "input": "How long is this?"}),
    ],
    ids=["claude", "openai"],
)
def test_anthropic_and_openai_count_tokens(
    upstream: respx.MockRouter, spec: ProviderSpec, address: str, asked: dict[str, Any]
) -> None:
    route = upstream.post(address).respond(json={"object": "response.input_tokens", "input_tokens": 11})
    assert count_tokens(spec, KEYS, "a", "How long is this?") == 11
    assert json.loads(route.calls.last.request.content) == asked
    assert "trap" not in str(route.calls.last.request.headers.raw)


def test_a_compatible_server_is_not_asked_to_count(upstream: respx.MockRouter) -> None:
    assert count_tokens(HOUSE, [], "llama", "How long is this?") is None
    assert not upstream.calls


@pytest.mark.parametrize("spec", [OPENAI, CLAUDE], ids=lambda spec: spec.name)
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, f'{{"error": {{"message": "Incorrect key: {CANARY}", "code": "invalid_api_key"}}}}', CredentialsRefused),
        (529, "{}", Overloaded),
        (500, "<html>", UpstreamUnavailable),
        (200, f"<html>{CANARY}</html>", ProtocolError),
        (200, f'["{CANARY}"]', ProtocolError),
    ],
)
def test_a_bad_answer_is_one_of_our_errors_and_asked_for_once(
    upstream: respx.MockRouter, spec: ProviderSpec, status: int, body: str, error: type[ProviderError]
) -> None:
    route = upstream.get(ADDRESSES[spec.name]).respond(status, text=body)
    with pytest.raises(error) as caught:
        model_names(spec, KEYS)
    assert route.call_count == 1
    assert CANARY not in "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert caught.value.__context__ is None


@pytest.mark.parametrize("spec", [OPENAI, CLAUDE], ids=lambda spec: spec.name)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (httpcore2.ConnectError, UpstreamUnavailable),
        (httpcore2.ReadError, UpstreamUnavailable),
        (httpcore2.ReadTimeout, UpstreamTimeout),
        (httpcore2.ConnectTimeout, UpstreamTimeout),
    ],
)
def test_a_broken_connection_is_one_of_our_errors(
    upstream: respx.MockRouter, spec: ProviderSpec, fault: type[Exception], error: type[ProviderError]
) -> None:
    route = upstream.get(ADDRESSES[spec.name]).mock(side_effect=fault)
    with pytest.raises(error):
        model_names(spec, KEYS)
    assert route.call_count == 1


def test_no_sdk_is_imported_before_it_is_asked_something() -> None:
    code = "import sys, gateway.cli.providers; print({'openai', 'anthropic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
