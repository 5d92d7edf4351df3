"""A script in the bytes of either wire: the body of a response, frame by frame. Pure."""

import json
import re
from typing import Any

import msgspec

from providers.scripted.script import Figures, Script, chunked

_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


class Asked(msgspec.Struct):
    """What a rendering has to know of the request."""

    model: str = "scripted"
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    size: int = 0
    """Bytes of the request's body."""


def encoded(value: Any) -> bytes:
    """JSON, with the escapes that `Script` promises for surrogates."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    text = _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return raw(text)


def raw(text: str) -> bytes:
    """Text as it stands, with the raw bytes that `Script` promises."""
    return text.encode("utf-8", "surrogateescape")


def figures(script: Script, asked: Asked) -> Figures | None:
    """The usage to report, with what is to be counted filled in."""
    usage = script.usage
    if usage is None:
        return None
    counted_input = max(1, asked.size // 4) if usage.input is None else usage.input
    counted_output = len(script.chunks()) if usage.output is None else usage.output
    return Figures(counted_input, counted_output, usage.cached, usage.times)


def in_chunks(before: bytes, chunks: list[bytes], after: bytes) -> list[bytes]:
    """What is written at once: a chunk, the first and the last with what stands before and after, without a gap."""
    if not chunks:
        return [before + after]
    glued = [before + chunks[0], *chunks[1:]]
    glued[-1] += after
    return glued


class OpenAIRendering:
    """Chat completions."""

    def stream(self, script: Script, asked: Asked) -> list[bytes]:
        """The chunks of a stream, as `in_chunks` glues them; usage only if it was asked for, as the original does."""
        wants_usage = bool((asked.stream_options or {}).get("include_usage"))

        def frame(choices: list[Any], usage: Any = None) -> bytes:
            chunk = {
                "id": "chatcmpl-scripted",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": asked.model,
                "choices": choices,
            }
            if wants_usage:
                chunk["usage"] = usage
            return b"data: " + encoded(chunk) + b"\n\n"

        def delta(finish: str | None = None, **fields: Any) -> bytes:
            return frame([{"index": 0, "delta": fields, "logprobs": None, "finish_reason": finish}])

        chunks = [delta(reasoning_content=thought) for thought in chunked(script.reasoning)]
        chunks += [delta(content=chunk) for chunk in script.chunks()]
        for index, call in enumerate(script.tool_calls):
            begun = {"index": index, "id": call.id, "type": "function"}
            chunks.append(delta(tool_calls=[begun | {"function": {"name": call.name, "arguments": ""}}]))
            for fragment in chunked(call.arguments):
                chunks.append(delta(tool_calls=[{"index": index, "function": {"arguments": fragment}}]))
        after = raw(script.insert) * script.insert_times
        if script.error:
            after += b"data: " + self.error(script.error) + b"\n\n"
        else:
            if script.finish:
                after += delta(finish=script.finish)
            usage = figures(script, asked)
            if usage and wants_usage:
                after += frame([], self._usage(usage)) * usage.times
            if script.done:
                after += b"data: [DONE]\n\n"
        return in_chunks(delta(role="assistant", content=""), chunks, after)

    def document(self, script: Script, asked: Asked) -> bytes:
        """The same reply without streaming."""
        message: dict[str, Any] = {"role": "assistant", "content": script.text(), "refusal": None}
        if script.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": "".join(chunked(call.arguments))},
                }
                for call in script.tool_calls
            ]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": script.finish}
        document = {
            "id": "chatcmpl-scripted",
            "object": "chat.completion",
            "created": 1,
            "model": asked.model,
            "choices": [choice],
        }
        usage = figures(script, asked)
        if usage:
            document["usage"] = self._usage(usage)
        return encoded(document)

    def error(self, code: str) -> bytes:
        """The body of an error, and of an error event."""
        return encoded({"error": {"message": "As scripted.", "type": code, "param": None, "code": code}})

    def _usage(self, usage: Figures) -> dict[str, Any]:
        asked, answered = usage.input or 0, usage.output or 0
        return {
            "prompt_tokens": asked,
            "completion_tokens": answered,
            "total_tokens": asked + answered,
            "prompt_tokens_details": {"cached_tokens": usage.cached},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }


class AnthropicRendering:
    """Messages."""

    def stream(self, script: Script, asked: Asked) -> list[bytes]:
        """The chunks of a stream, as `in_chunks` glues them."""
        usage = figures(script, asked)
        message = self._message(script, asked, content=[], stop_reason=None)
        if usage:
            message["usage"] = self._usage(usage) | {"output_tokens": 1}
        chunks: list[bytes] = []
        for index, (block, deltas) in enumerate(self._blocks(script)):
            start = _named({"type": "content_block_start", "index": index, "content_block": block})
            stop = _named({"type": "content_block_stop", "index": index})
            frames = [_named({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas]
            chunks += in_chunks(start, frames, stop)
        after = raw(script.insert) * script.insert_times
        if script.error:
            after += b"event: error\ndata: " + self.error(script.error) + b"\n\n"
        else:
            if script.finish or usage:
                after += self._ending(script, usage)
            if script.done:
                after += _named({"type": "message_stop"})
        return in_chunks(_named({"type": "message_start", "message": message}), chunks, after)

    def document(self, script: Script, asked: Asked) -> bytes:
        """The same reply without streaming."""
        content: list[dict[str, Any]] = [{"type": "text", "text": script.text()}] if script.text() else []
        content += [{"type": "tool_use", "id": call.id, "name": call.name, "input": {}} for call in script.tool_calls]
        message = self._message(script, asked, content=content, stop_reason=_stop_reason(script))
        usage = figures(script, asked)
        if usage:
            message["usage"] = self._usage(usage)
        return encoded(message)

    def error(self, code: str) -> bytes:
        """The body of an error, and of an error event."""
        error = {"type": "error", "error": {"type": code, "message": "As scripted."}, "request_id": "req_scripted"}
        return encoded(error)

    def _ending(self, script: Script, usage: Figures | None) -> bytes:
        ending: dict[str, Any] = {
            "type": "message_delta",
            "delta": {"stop_reason": _stop_reason(script), "stop_sequence": None},
        }
        if usage is None:
            return _named(ending)
        return _named(ending | {"usage": {"output_tokens": usage.output}}) * usage.times

    def _message(self, script: Script, asked: Asked, **fields: Any) -> dict[str, Any]:
        return {
            "id": "msg_scripted",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "stop_sequence": None,
            **fields,
        }

    def _blocks(self, script: Script) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
        blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
        thoughts = [{"type": "thinking_delta", "thinking": thought} for thought in chunked(script.reasoning)]
        if thoughts:
            signature = {"type": "signature_delta", "signature": "scripted"}
            blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, [*thoughts, signature]))
        texts = [{"type": "text_delta", "text": chunk} for chunk in script.chunks()]
        if texts:
            blocks.append(({"type": "text", "text": ""}, texts))
        for call in script.tool_calls:
            pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in chunked(call.arguments)]
            blocks.append(({"type": "tool_use", "id": call.id, "name": call.name, "input": {}}, pieces))
        return blocks

    def _usage(self, usage: Figures) -> dict[str, Any]:
        return {
            "input_tokens": (usage.input or 0) - usage.cached,  # here the cached part is counted beside
            "output_tokens": usage.output,
            "cache_read_input_tokens": usage.cached,
            "cache_creation_input_tokens": 0,
        }


def _named(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: ".encode() + encoded(event) + b"\n\n"


def _stop_reason(script: Script) -> str | None:
    return _STOP_REASONS.get(script.finish, script.finish) if script.finish else None
