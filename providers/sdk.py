"""Questions to a provider that no turn waits for, asked through the provider's own SDK.

Here the SDKs' knowledge of their APIs counts, and their cost does not: importing one takes a second, so that is done
when a question is asked. They are told everything they need, and see nothing of the environment, where they would
look for other keys, addresses, organisations and headers.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from providers.errors import ProtocolError, ProviderError, UpstreamTimeout, UpstreamUnavailable
from providers.models import ProviderKind, ProviderSpec
from providers.registry import base_url_of, needs_key
from providers.upstream.clocks import Clocks
from providers.upstream.keys import KeyPool, ProviderKey, Secret, origin_of
from providers.wires.anthropic import FIRST_VERSION
from providers.wires.upstream_errors import status_error

if TYPE_CHECKING:
    import anthropic
    import httpx2
    import openai

TIMEOUT = 30.0
"""Seconds that an answer may take."""

MAX_MODELS = 1000

Answer = TypeVar("Answer")


def model_names(spec: ProviderSpec, keys: list[ProviderKey]) -> list[str]:
    """The names of the models that the provider offers; that they come means that it accepts the key.

    Raises `ProviderError`.
    """
    key = usable_key(spec, keys)
    if spec.kind is ProviderKind.anthropic:
        return _asked(
            lambda http: [model.id for model in islice(_anthropic(spec, key, http).models.list(), MAX_MODELS)]
        )
    return _asked(lambda http: [model.id for model in islice(_openai(spec, key, http).models.list(), MAX_MODELS)])


def count_tokens(spec: ProviderSpec, keys: list[ProviderKey], model: str, text: str) -> int | None:
    """The tokens that the provider counts for one user message; None where it has no such question.

    Compatible servers are not asked, since few of them know OpenAI's question. Raises `ProviderError`.
    """
    if spec.kind not in (ProviderKind.anthropic, ProviderKind.openai):
        return None
    key = usable_key(spec, keys)
    if spec.kind is ProviderKind.openai:
        return _asked(
            lambda http: _openai(spec, key, http).responses.input_tokens.count(model=model, input=text).input_tokens
        )
    return _asked(
        lambda http: (
            _anthropic(spec, key, http)
            .messages.count_tokens(model=model, messages=[{"role": "user", "content": text}])
            .input_tokens
        )
    )


def usable_key(spec: ProviderSpec, keys: list[ProviderKey]) -> Secret | None:
    """The key that a turn would begin with; None where none is needed. Raises `NoKey`."""
    pool = KeyPool(spec.name, origin_of(base_url_of(spec)), key_env=spec.key_env, required=needs_key(spec))
    pool.replace(keys)
    return pool.take()


def _asked(question: Callable[["httpx2.Client"], Answer]) -> Answer:
    import anthropic  # imported late: together they take about a second
    import httpx2
    import openai

    timeout = httpx2.Timeout(TIMEOUT, connect=Clocks().connect)
    failure: ProviderError
    try:
        with _nothing_in_the_environment(), httpx2.Client(trust_env=False, timeout=timeout) as http:
            return question(http)
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        failure = status_error(error.status_code, error.response.headers, error.response.content)
    except (openai.APITimeoutError, anthropic.APITimeoutError, httpx2.TimeoutException):
        failure = UpstreamTimeout("The provider took too long to answer.")
    except (openai.APIConnectionError, anthropic.APIConnectionError, httpx2.HTTPError):
        failure = UpstreamUnavailable("The provider's server cannot be reached.")
    except (openai.OpenAIError, anthropic.AnthropicError, ValueError, TypeError, AttributeError):
        # The SDKs trust what they get: an answer of another shape fails wherever it is first used.
        failure = ProtocolError("The provider answered with something other than what was asked for.")
    raise failure  # outside of the handlers: as its context, the SDK's error would carry the request and its key


def _openai(spec: ProviderSpec, key: Secret | None, http: "httpx2.Client") -> "openai.OpenAI":
    import openai

    return openai.OpenAI(
        api_key=key.reveal() if key else "none",  # it insists on one
        base_url=base_url_of(spec),
        max_retries=0,
        http_client=http,
    )


def _anthropic(spec: ProviderSpec, key: Secret | None, http: "httpx2.Client") -> "anthropic.Anthropic":
    import anthropic

    version = spec.version or FIRST_VERSION
    headers: dict[str, str | anthropic.Omit] = {"anthropic-version": version}
    if version == FIRST_VERSION and key:
        headers |= {"x-api-key": key.reveal(), "authorization": anthropic.Omit()}  # by itself it sends a Bearer token
    return anthropic.Anthropic(
        api_key=key.reveal() if key else "none",
        base_url=base_url_of(spec),
        default_headers=headers,  # type: ignore[arg-type]  # its type knows of no `Omit`, its documentation does
        max_retries=0,
        http_client=http,
    )


@contextmanager
def _nothing_in_the_environment() -> Iterator[None]:
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("OPENAI_", "ANTHROPIC_"))}
    try:
        yield
    finally:
        os.environ.update(hidden)
