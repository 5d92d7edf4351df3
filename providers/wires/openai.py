"""Chat completions, as OpenAI, vLLM, llama.cpp and many others speak it.

The format is that of https://platform.openai.com/docs/api-reference/chat with what compatible servers add to it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from providers.errors import Overloaded, ProviderError, UpstreamUnavailable
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
from providers.models import ModelRequest, ProviderKind
from providers.wires.reader import ChunkReader, storable
from providers.wires.upstream_errors import status_error, stream_error
from providers.wires.wire import StreamReader, WireRequest

_FINISH_REASONS = {
    "length": FinishReason.length,
    "tool_calls": FinishReason.tool_calls,
    "function_call": FinishReason.tool_calls,
    "content_filter": FinishReason.content_filter,
}
"""Any other word that a compatible server has for being done means `stop`, but for the two below."""

_BROKEN_OFF: dict[str, type[ProviderError]] = {
    "error": UpstreamUnavailable,
    "insufficient_system_resource": Overloaded,
}
"""Words in the place of a finish reason by which OpenRouter and DeepSeek say that the answer is no answer."""

_OURS = frozenset({"model", "messages", "stream", "max_tokens", "max_completion_tokens"})
"""Fields that `extra` cannot change: the reader, the bill and the cap depend on them."""


class OpenAIWire:
    """Chat completions, streamed.

    OpenAI's newer models refuse `max_tokens`, and many compatible servers know no other name (some ignore the new
    one in silence, and a reply without a cap is what nobody wants), so the kind of provider chooses.
    """

    path = "/chat/completions"

    def __init__(self, kind: ProviderKind) -> None:
        self._cap = "max_completion_tokens" if kind is ProviderKind.openai else "max_tokens"

    def headers(self, key: str | None) -> dict[str, str]:
        """The headers of a request, the key among them."""
        headers = {"content-type": "application/json", "accept": "text/event-stream"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        return headers

    def request(self, request: ModelRequest) -> WireRequest:
        """The body to post. What `model.drops` names is left out, `stream_options` too (some servers refuse it)."""
        params = request.params
        asked = {
            "temperature": params.temperature,
            "top_p": params.top_p,
            "stop": params.stop or None,
            "seed": params.seed,
            "presence_penalty": params.presence_penalty,
            "frequency_penalty": params.frequency_penalty,
            "reasoning_effort": params.reasoning_effort,
            **params.extra,
        }
        body: dict[str, Any] = {"stream_options": {"include_usage": True}}
        notices = []
        for name, value in asked.items():
            if value is None or name in _OURS:
                continue
            if name in request.model.drops:
                notices.append(f"{name} was left out: the model {request.model.id} does not take it.")
            else:
                body[name] = value
        if "stream_options" in request.model.drops:
            del body["stream_options"]
        body |= {
            "model": request.model.name,
            "messages": request.messages,
            "stream": True,
            self._cap: request.max_output_tokens,
        }
        return WireRequest(msgspec.json.encode(body), tuple(notices))

    def reader(self) -> StreamReader:
        """A reader for one response of status 200."""
        return _Reader()

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """The error that a response of another status stands for."""
        return status_error(status, headers, body)


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


_DECODER = msgspec.json.Decoder(_Chunk)


class _Reader(ChunkReader[_Chunk]):
    def __init__(self) -> None:
        super().__init__(_DECODER)
        self._refused = False
        self._begun_calls: set[int] = set()

    def take(self, name: bytes, chunk: _Chunk, events: list[Event]) -> None:
        if chunk.error or name == b"error":
            self.fail(stream_error({"error": chunk.error}), events)
            return
        if chunk.choices and not self.finished:
            for choice in chunk.choices:
                if choice.index == 0:  # one answer was asked for
                    if choice.delta is not None:
                        self._take_delta(choice.delta, events)
                    if choice.finish_reason:
                        self._finish(choice.finish_reason, events)
        if chunk.usage is not None:  # often after the finish reason, in a chunk without choices
            usage = _normalised(chunk.usage)
            if usage:
                events.append(UsageReported(usage))

    def _take_delta(self, delta: _Delta, events: list[Event]) -> None:
        thought = delta.reasoning_content or delta.reasoning  # some servers send both, with the same text
        if thought:
            events.append(ReasoningDelta(storable(thought)))
        if delta.content:
            events.append(TextDelta(storable(delta.content)))
        if delta.refusal:  # what the model says in the place of a reply, and then it "stops"
            self._refused = True
            events.append(TextDelta(storable(delta.refusal)))
        if delta.tool_calls:
            for call in delta.tool_calls:
                events.append(self._tool_call(call))

    def _tool_call(self, call: _ToolCall) -> ToolCallDelta:
        function = call.function or _Function()
        arguments = storable(function.arguments or "")
        if call.index in self._begun_calls:  # some servers repeat id and name with every fragment
            return ToolCallDelta(call.index, arguments)
        self._begun_calls.add(call.index)
        return ToolCallDelta(call.index, arguments, call.id, function.name)

    def _finish(self, reason: str, events: list[Event]) -> None:
        if reason in _BROKEN_OFF:
            self.fail(_BROKEN_OFF[reason]("The provider broke its answer off; try again in a moment."), events)
            return
        self.finished = True
        known = _FINISH_REASONS.get(reason, FinishReason.stop)
        events.append(Finished(FinishReason.content_filter if self._refused else known))


def _normalised(reported: Any) -> Usage | None:
    """The provider's figures, or None when they are not figures: then the gateway counts for itself."""
    try:
        usage = msgspec.convert(reported, _Usage)
    except msgspec.ValidationError:
        return None
    if usage.prompt_tokens < 0 or usage.completion_tokens < 0:
        return None
    prompt = usage.prompt_tokens_details or _PromptDetails()
    completion = usage.completion_tokens_details or _CompletionDetails()
    return Usage(
        input_tokens=usage.prompt_tokens,  # cached tokens are counted in it already
        output_tokens=usage.completion_tokens,
        cache_read_tokens=max(0, prompt.cached_tokens or 0),
        cache_write_tokens=max(0, prompt.cache_write_tokens or 0),
        reasoning_tokens=max(0, completion.reasoning_tokens or 0),
    )
