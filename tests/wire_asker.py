"""Asking the scripted upstream over a wire, without a provider in between."""

import httpx

from providers.errors import ProviderError
from providers.events import Event, Failed
from providers.messages import Message, Role
from providers.models import Model, ModelRequest, ProviderKind
from providers.scripted.script import Script
from providers.scripted.server import ScriptedUpstream
from providers.wires.anthropic import AnthropicWire
from providers.wires.openai import OpenAIWire
from providers.wires.wire import Wire

WIRES: dict[str, Wire] = {"openai": OpenAIWire(ProviderKind.openai), "anthropic": AnthropicWire()}


class Asker:
    """Asks the scripted upstream over one of the wires, and reads the answer with that wire's reader."""

    def __init__(self, upstream: ScriptedUpstream, wire: str, client: httpx.Client) -> None:
        self.upstream = upstream
        self.wire = WIRES[wire]
        self.url = (upstream.base_url if wire == "openai" else upstream.url) + self.wire.path
        self.client = client

    def request(self, model: str = "scripted", said: str = "Hi") -> tuple[bytes, dict[str, str]]:
        declared = Model(id="m", provider="p", name=model, window=8000, max_output=1000)
        request = ModelRequest(model=declared, messages=(Message(Role.user, said),), max_output_tokens=50)
        return self.wire.request(request).body, self.wire.headers("sk-test")

    def ask(self, *scripts: Script | str, model: str = "scripted", said: str = "Hi") -> list[Event]:
        """The events of the answer; `Failed` stands for what a response of another status means."""
        self.upstream.enqueue(*scripts)
        body, headers = self.request(model, said)
        with self.client.stream("POST", self.url, content=body, headers=headers) as response:
            if response.status_code != 200:
                return [Failed(self.wire.error(response.status_code, response.headers, response.read()))]
            reader = self.wire.reader()
            events = [event for read in response.iter_raw() for event in reader.feed(read)]
            return events + reader.close()


def error_of(events: list[Event]) -> ProviderError | None:
    return events[-1].error if events and isinstance(events[-1], Failed) else None
