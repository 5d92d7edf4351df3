"""Messages (https://docs.anthropic.com/en/api/messages), Anthropic's wire, in its version of 2023 and in later ones."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from providers.errors import ProviderError
from providers.events import (
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReported,
)
from providers.messages import Message, Role
from providers.models import ModelRequest
from providers.wires.reader import ChunkReader, storable
from providers.wires.upstream_errors import status_error, stream_error
from providers.wires.wire import StreamReader, WireRequest

FIRST_VERSION = "2023-06-01"
"""The version that takes `x-api-key` and sampling parameters; later ones take a Bearer token and refuse them."""

_FINISH_REASONS = {
    "max_tokens": FinishReason.length,
    "model_context_window_exceeded": FinishReason.length,
    "tool_use": FinishReason.tool_calls,
    "refusal": FinishReason.content_filter,
}
"""`end_turn`, `stop_sequence`, `pause_turn` and words yet to come are `stop`."""

_UNKNOWN = frozenset({"seed", "presence_penalty", "frequency_penalty"})
"""Parameters of chat completions that Messages never had."""

_SAMPLING = frozenset({"temperature", "top_p", "top_k"})

_EFFORTS = ("low", "medium", "high", "xhigh", "max")

_OURS = frozenset({"model", "messages", "system", "stream", "max_tokens"})
"""Fields that `extra` cannot change: the reader, the bill and the cap depend on them."""


class AnthropicWire:
    """Messages, streamed. `version` is the value of the `anthropic-version` header."""

    path = "/v1/messages"

    def __init__(self, version: str = FIRST_VERSION) -> None:
        self.version = version or FIRST_VERSION

    def headers(self, key: str | None) -> dict[str, str]:
        """The headers of a request, the key among them."""
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream",
            "anthropic-version": self.version,
        }
        if key and self.version == FIRST_VERSION:
            headers["x-api-key"] = key
        elif key:
            headers["authorization"] = f"Bearer {key}"
        return headers

    def request(self, request: ModelRequest) -> WireRequest:
        """The body to post, and notices about what this API, its version or the model does not take."""
        system, turns = _conversation(request.messages)
        body: dict[str, Any] = {}
        notices = []
        for name, value in _asked(request).items():
            if value is None or name in _OURS:
                continue
            why = self._refusal(name, value, request)
            if why:
                notices.append(f"{name} was left out: {why}.")
            elif name == "reasoning_effort":
                body["output_config"] = {"effort": value}
            elif name == "temperature" and isinstance(value, int | float) and value > 1:
                body[name] = 1.0
                notices.append("temperature was lowered to 1, the highest that this API takes.")
            else:
                body[name] = value
        body |= {
            "model": request.model.name,
            "max_tokens": request.max_output_tokens,
            "messages": turns,
            "stream": True,
        }
        if system:
            body["system"] = system
        return WireRequest(msgspec.json.encode(body), tuple(notices))

    def reader(self) -> StreamReader:
        """A reader for one response of status 200."""
        return _Reader()

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """The error that a response of another status stands for."""
        return status_error(status, headers, body)

    def _refusal(self, name: str, value: Any, request: ModelRequest) -> str:
        wanted = "stop" if name == "stop_sequences" else name
        if wanted in request.model.drops or name in request.model.drops:
            return f"the model {request.model.id} does not take it"
        if name in _UNKNOWN:
            return "this API does not have it"
        if name in _SAMPLING and self.version != FIRST_VERSION:
            return f"version {self.version} of this API refuses it"
        if name == "reasoning_effort" and value not in _EFFORTS:
            return f"this API has no effort {value!r}"
        return ""


def _asked(request: ModelRequest) -> dict[str, Any]:
    params = request.params
    # A stop sequence of nothing but blanks is refused, and the whole request with it.
    stop = [sequence for sequence in params.stop if sequence.strip()]
    return {
        "temperature": params.temperature,
        "top_p": params.top_p,
        "stop_sequences": stop or None,
        "seed": params.seed,
        "presence_penalty": params.presence_penalty,
        "frequency_penalty": params.frequency_penalty,
        "reasoning_effort": params.reasoning_effort,
        **params.extra,
    }


def _conversation(messages: Iterable[Message]) -> tuple[str, list[dict[str, str]]]:
    """The system text, and turns that begin with the user and alternate, none of them blank.

    A system message further on is sent as the user's, since every version takes that.
    """
    system = ""
    turns: list[dict[str, str]] = []
    for place, message in enumerate(messages):
        if not message.content.strip():  # a blank text is refused, and the whole request with it
            continue
        if message.role is Role.system and place == 0:
            system = message.content
            continue
        role = "assistant" if message.role is Role.assistant else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += "\n\n" + message.content
        else:
            turns.append({"role": role, "content": message.content})
    if not turns or turns[0]["role"] == "assistant":
        # A chat often begins with the persona's greeting, and this API wants the user to speak first.
        turns.insert(0, {"role": "user", "content": "(The conversation begins.)"})
    if turns[-1]["role"] == "assistant":
        turns[-1]["content"] = turns[-1]["content"].rstrip()  # a reply to be continued may not end with a blank
    return system, turns


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: dict[str, Any] | None = None


class _Block(msgspec.Struct):
    type: str = ""
    id: str | None = None
    name: str | None = None
    text: str | None = None
    thinking: str | None = None


class _Delta(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Message(msgspec.Struct):
    usage: Any = None


class _Chunk(msgspec.Struct):
    type: str
    index: int = 0
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: Any = None
    error: Any = None


_DECODER = msgspec.json.Decoder(_Chunk)


class _Reader(ChunkReader[_Chunk]):
    def __init__(self) -> None:
        super().__init__(_DECODER)
        self._usage: dict[str, Any] = {}
        self._calls: dict[int, int] = {}  # the index of a content block -> which tool call it is

    def take(self, name: bytes, chunk: _Chunk, events: list[Event]) -> None:
        kind = chunk.type
        if kind == "content_block_delta":
            if chunk.delta is not None and not self.finished:
                self._take_delta(chunk.index, chunk.delta, events)
        elif kind == "content_block_start":
            if chunk.content_block is not None and not self.finished:
                self._take_block(chunk.index, chunk.content_block, events)
        elif kind == "message_start":
            # Not reported yet: of the output it counts one token, and a reply that is cut off has more.
            if chunk.message is not None:
                self._add_usage(chunk.message.usage)
        elif kind == "message_delta":
            self._take_message_delta(chunk, events)
        elif kind == "message_stop":
            self.done = True
        elif kind == "error" or name == b"error":
            self.fail(stream_error({"error": chunk.error}), events)

    def _take_delta(self, index: int, delta: _Delta, events: list[Event]) -> None:
        if delta.type == "text_delta":
            if delta.text:
                events.append(TextDelta(storable(delta.text)))
        elif delta.type == "thinking_delta":
            if delta.thinking:
                events.append(ReasoningDelta(storable(delta.thinking)))
        elif delta.type == "input_json_delta" and delta.partial_json and index in self._calls:
            events.append(ToolCallDelta(self._calls[index], storable(delta.partial_json)))

    def _take_block(self, index: int, block: _Block, events: list[Event]) -> None:
        if block.type == "tool_use":
            call = self._calls[index] = len(self._calls)
            events.append(ToolCallDelta(call, "", block.id, block.name))
        elif block.text:  # empty as a rule, but it belongs to the reply where it is not
            events.append(TextDelta(storable(block.text)))
        elif block.thinking:
            events.append(ReasoningDelta(storable(block.thinking)))

    def _take_message_delta(self, chunk: _Chunk, events: list[Event]) -> None:
        if chunk.usage is not None:
            self._add_usage(chunk.usage)
            usage = _normalised(self._usage)
            if usage:
                events.append(UsageReported(usage))
        if chunk.delta is not None and chunk.delta.stop_reason and not self.finished:
            self.finished = True
            events.append(Finished(_FINISH_REASONS.get(chunk.delta.stop_reason, FinishReason.stop)))

    def _add_usage(self, reported: Any) -> None:
        """Figures are totals so far: a later one replaces an earlier one, and one left out stays."""
        if isinstance(reported, dict):
            self._usage |= {name: figure for name, figure in reported.items() if figure is not None}


def _normalised(reported: dict[str, Any]) -> Usage | None:
    """The provider's figures, or None when they are not figures: then the gateway counts for itself."""
    try:
        usage = msgspec.convert(reported, _Usage)
    except msgspec.ValidationError:
        return None
    asked, answered = usage.input_tokens, usage.output_tokens
    if asked is None or answered is None or asked < 0 or answered < 0:
        return None
    read = max(0, usage.cache_read_input_tokens or 0)
    written = max(0, usage.cache_creation_input_tokens or 0)
    thought = (usage.output_tokens_details or {}).get("thinking_tokens")
    return Usage(
        input_tokens=asked + read + written,  # here the cached part is counted beside the prompt
        output_tokens=answered,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=thought if isinstance(thought, int) and thought > 0 else 0,
    )
