"""What is declared about providers and models, and the request that goes to one. Pure values."""

from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from providers.messages import Message


class ProviderKind(StrEnum):
    """How a provider is spoken to."""

    openai = "openai"
    openai_compatible = "openai-compatible"
    anthropic = "anthropic"
    local = "local"
    echo = "echo"


class ProviderSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A provider as an operator declares it. Never holds a key: `key_env` only names where one may be found.

    `base_url` has no trailing slash and ends before the wire's own path (`https://host/v1` for chat completions,
    `https://host` for Messages). `version` is the Anthropic API version and empty elsewhere.
    """

    name: str
    kind: ProviderKind
    base_url: str = ""
    key_env: str | None = None
    version: str = ""


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Money per million tokens, exact, in the operator's currency (US dollars unless they say otherwise)."""

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model as an operator declares it.

    `window` and `max_output` are in the model's tokens. `safety` scales our o200k_base count up to what this
    model's own tokenizer may count. `drops` names sampling parameters that the model refuses: they are left out
    of the request and a notice is recorded. `system_anywhere` is false where a system message may stand only at
    the beginning (Anthropic, and several open models' chat templates).
    """

    id: str
    provider: str
    name: str
    window: int
    max_output: int
    safety: float = 1.0
    drops: frozenset[str] = frozenset()
    system_anywhere: bool = True
    price: Price | None = None


class Params(msgspec.Struct, frozen=True, kw_only=True):
    """Sampling parameters; None is left to the provider. `extra` goes into the body as it stands."""

    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    extra: dict[str, Any] = {}


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """All that a wire needs in order to ask: always streamed.

    `messages` begin with at most one system message; whether later system messages may occur is the model's
    affair and was settled when the Context was assembled. `request_id` travels to the upstream.
    """

    model: Model
    messages: tuple[Message, ...]
    max_output_tokens: int
    params: Params = Params()
    request_id: str = ""
