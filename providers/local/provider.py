"""The local model as a provider: an upstream over HTTP whose address and key come from the child process."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from providers.echo import EchoProvider
from providers.errors import LocalModelUnavailable
from providers.events import Event
from providers.local.model import Address, LocalModel
from providers.models import ModelRequest
from providers.provider import Availability, Provider
from providers.upstream.clocks import Clocks
from providers.upstream.http import HTTPProvider
from providers.upstream.keys import KeyPool, ProviderKey, Secret, origin_of
from providers.upstream.transport import Transport
from providers.wires.wire import Wire


class LocalProvider:
    """Waits for the child while it loads; where there is none, the echo answers, with a sentence that says why."""

    def __init__(self, name: str, model: LocalModel, wire: Wire, transport: Transport, clocks: Clocks) -> None:
        self.name = name
        self._model = model
        self._wire = wire
        self._transport = transport
        self._clocks = clocks
        self._upstream: tuple[Address, HTTPProvider] | None = None

    def availability(self) -> Availability:
        """As the child is."""
        return self._model.availability()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[list[Event], None]:
        """The answer, as `Provider.stream` promises it."""
        answering: Provider
        try:
            answering = self._provider_at(await self._model.address(timeout=self._clocks.first_token))
        except LocalModelUnavailable as error:
            answering = EchoProvider(self.name, notice=f"{error.message} The echo answers in its place.")
        async with aclosing(answering.stream(request)) as batches:
            async for batch in batches:
                yield batch

    def _provider_at(self, address: Address) -> HTTPProvider:
        if self._upstream is None or self._upstream[0] != address:
            keys = KeyPool(self.name, origin_of(address.base_url))
            keys.replace([ProviderKey(Secret(address.key))])
            provider = HTTPProvider(self.name, address.base_url, self._wire, self._transport, keys, self._clocks)
            self._upstream = address, provider
        return self._upstream[1]
