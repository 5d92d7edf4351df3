"""Who answers: from the declared providers to those that can be asked, each with its wire, its keys and its clocks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from providers.echo import WORD_DELAY, EchoProvider
from providers.errors import NoKey
from providers.local.model import LocalModel
from providers.local.provider import LocalProvider
from providers.models import Model, ProviderKind, ProviderSpec
from providers.provider import Availability, Provider, Readiness
from providers.upstream.clocks import LOCAL_CLOCKS, Clocks
from providers.upstream.http import HTTPProvider
from providers.upstream.keys import KeyPool, ProviderKey, origin_of
from providers.upstream.transport import Transport
from providers.wires.anthropic import AnthropicWire
from providers.wires.openai import OpenAIWire
from providers.wires.wire import Wire

PUBLIC_URLS = {
    ProviderKind.openai: "https://api.openai.com/v1",
    ProviderKind.anthropic: "https://api.anthropic.com",
}
"""Where a kind of provider is when its spec names no address."""


def wire_of(spec: ProviderSpec) -> Wire:
    """The wire that a provider speaks."""
    return AnthropicWire(spec.version) if spec.kind is ProviderKind.anthropic else OpenAIWire(spec.kind)


def base_url_of(spec: ProviderSpec) -> str:
    """The provider's address, without a trailing slash."""
    return (spec.base_url or PUBLIC_URLS.get(spec.kind, "")).rstrip("/")


def needs_key(spec: ProviderSpec) -> bool:
    """Whether a provider cannot be asked without a key; a compatible server on the same machine often can."""
    return spec.kind is not ProviderKind.openai_compatible or spec.key_env is not None


class _Entry(msgspec.Struct):
    spec: ProviderSpec
    provider: Provider
    keys: KeyPool | None = None


class Registry:
    """The providers of one gateway, their shared connections and the local model.

    `weights` is a GGUF file for the local model (None: the packaged one), `connections` how many upstream connections
    may be open at once (0: any number), `word_delay` the echo's, in seconds. Raises `ValueError` for a provider
    whose address is not one.
    """

    def __init__(
        self,
        specs: Mapping[str, ProviderSpec],
        *,
        clocks: Clocks = Clocks(),  # noqa: B008 - frozen
        weights: Path | None = None,
        connections: int = 0,
        word_delay: float = WORD_DELAY,
    ) -> None:
        self._clocks = clocks
        self._word_delay = word_delay
        self._transport = Transport(limit=connections)
        self._local_model = LocalModel(weights)
        self._started = False
        self._stored: dict[str, Sequence[ProviderKey]] = {}
        self._entries: dict[str, _Entry] = {}
        self.configure(specs)

    async def start(self) -> None:
        """Open the transport, and begin to load the local model when a provider is one."""
        await self._transport.start()
        self._started = True
        self._start_local_model()

    async def aclose(self) -> None:
        """Close all upstream connections and end the local model's process."""
        await self._transport.aclose()
        await self._local_model.aclose()

    def configure(self, specs: Mapping[str, ProviderSpec]) -> None:
        """Replace the providers; unchanged ones go on with their pools. Raises `ValueError`, and changes nothing."""
        entries = {}
        for name, spec in specs.items():
            known = self._entries.get(name)
            entries[name] = known if known is not None and known.spec == spec else self._entry(spec)
        self._entries = entries
        self._start_local_model()

    def set_keys(self, keys: Mapping[str, Sequence[ProviderKey]]) -> None:
        """Replace all keys, by the providers' names. Keys of providers yet to be declared are kept for them."""
        self._stored = dict(keys)
        for name, entry in self._entries.items():
            if entry.keys is not None:
                entry.keys.replace(self._stored.get(name, ()))

    def availability(self, name: str) -> Availability:
        """Whether the provider would answer now; asks nobody."""
        entry = self._entries.get(name)
        if entry is None:
            return Availability(Readiness.unavailable, f"There is no provider named {name!r}.")
        return entry.provider.availability()

    def candidates(self, models: Sequence[Model], stand_in: Model | None = None) -> list[tuple[Provider, Model]]:
        """Who may answer, in the order of `models`; the stand-in when none of them could; at least one.

        A local model that cannot run still comes before nobody at all: the echo answers in its place. Raises
        `NoKey`, with a sentence that says how to add one.
        """
        answering = [(self._entries[model.provider].provider, model) for model in models if self._can_answer(model)]
        if answering:
            return answering
        fallbacks = [stand_in] if stand_in is not None else []
        for model in fallbacks:
            if self._can_answer(model):
                return [(self._entries[model.provider].provider, model)]
        for model in (*models, *fallbacks):
            entry = self._entries.get(model.provider)
            if entry is not None and entry.spec.kind is ProviderKind.local:
                return [(entry.provider, model)]
        sentences = dict.fromkeys(self.availability(model.provider).sentence for model in models)
        raise NoKey(" ".join(sentences) or "No model is declared that could answer.")

    def _can_answer(self, model: Model) -> bool:
        return self.availability(model.provider).readiness in (Readiness.ready, Readiness.loading)

    def _entry(self, spec: ProviderSpec) -> _Entry:
        if spec.kind is ProviderKind.echo:
            return _Entry(spec, EchoProvider(spec.name, word_delay=self._word_delay))
        if spec.kind is ProviderKind.local:
            patient = max(self._clocks.first_token, LOCAL_CLOCKS.first_token)
            clocks = msgspec.structs.replace(self._clocks, first_token=patient)
            local = LocalProvider(spec.name, self._local_model, wire_of(spec), self._transport, clocks)
            return _Entry(spec, local)
        base_url = base_url_of(spec)
        keys = KeyPool(spec.name, origin_of(base_url), key_env=spec.key_env, required=needs_key(spec))
        keys.replace(self._stored.get(spec.name, ()))
        provider = HTTPProvider(spec.name, base_url, wire_of(spec), self._transport, keys, self._clocks)
        return _Entry(spec, provider, keys)

    def _start_local_model(self) -> None:
        if self._started and any(entry.spec.kind is ProviderKind.local for entry in self._entries.values()):
            self._local_model.start()
