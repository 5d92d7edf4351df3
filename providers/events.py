"""What a model's stream says, whichever wire it came over."""

from enum import StrEnum

import msgspec

from providers.errors import ProviderError


class FinishReason(StrEnum):
    """Why a model stopped, in the words of chat completions."""

    stop = "stop"
    length = "length"
    tool_calls = "tool_calls"
    content_filter = "content_filter"


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one call, normalised: `input_tokens` is the whole prompt, cached or not.

    Chat completions count cached tokens inside the prompt, Messages beside it; the wires settle that, so that
    nobody counts them twice. `estimated` says that the provider reported nothing and the figures are our own count.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False


class TextDelta(msgspec.Struct, frozen=True):
    """The next piece of the reply."""

    text: str


class ReasoningDelta(msgspec.Struct, frozen=True):
    """The next piece of a model's thinking; never part of the reply."""

    text: str


class ToolCallDelta(msgspec.Struct, frozen=True):
    """A fragment of a tool call; `id` and `name` come with the first fragment of an index only."""

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None


class Noticed(msgspec.Struct, frozen=True):
    """Something the asker should know and did not ask for: a parameter left out, a retry, another key."""

    sentence: str


class UsageReported(msgspec.Struct, frozen=True):
    """The provider's figures; a later one replaces an earlier one."""

    usage: Usage


class Finished(msgspec.Struct, frozen=True):
    """The provider said that it is done. Without this event a stream is truncated, however it ended."""

    reason: FinishReason


class Failed(msgspec.Struct, frozen=True):
    """The stream broke the wire's rules, or carried an error of the provider; the last event of its stream."""

    error: ProviderError


Event = TextDelta | ReasoningDelta | ToolCallDelta | Noticed | UsageReported | Finished | Failed
