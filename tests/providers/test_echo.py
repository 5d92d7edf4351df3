import asyncio

import pytest

from providers.echo import MAX_QUOTED, EchoProvider
from providers.events import Event, Finished, FinishReason, Noticed, TextDelta, UsageReported
from providers.messages import Message, Role
from providers.models import Model, ModelRequest
from providers.provider import Readiness
from providers.tokens import MESSAGE_OVERHEAD, count_tokens

pytestmark = pytest.mark.anyio

MODEL = Model(id="echo", provider="echo", name="echo", window=8000, max_output=1000)


def asked(*messages: Message) -> ModelRequest:
    return ModelRequest(model=MODEL, messages=messages, max_output_tokens=100)


async def batches_of(provider: EchoProvider, request: ModelRequest) -> list[list[Event]]:
    return [batch async for batch in provider.stream(request)]


def text_of(batches: list[list[Event]]) -> str:
    return "".join(event.text for batch in batches for event in batch if isinstance(event, TextDelta))


async def test_the_newest_user_message_is_quoted_word_by_word() -> None:
    request = asked(
        Message(Role.system, "Be brief."), Message(Role.user, "Old."), Message(Role.user, "Good  morning, house!")
    )
    batches = await batches_of(EchoProvider("echo", word_delay=0), request)
    assert "“Good morning, house!”" in text_of(batches)
    assert "Old." not in text_of(batches)
    assert len(batches) > 5
    assert all(len(batch) == 1 for batch in batches[:-1])


async def test_its_usage_is_our_own_count_and_says_so() -> None:
    messages = (Message(Role.system, "Be brief."), Message(Role.user, "Good morning"))
    batches = await batches_of(EchoProvider("echo", word_delay=0), asked(*messages))
    reported, finished = batches[-1]
    assert isinstance(reported, UsageReported)
    assert reported.usage.estimated
    assert reported.usage.output_tokens == count_tokens(text_of(batches))
    expected = count_tokens("Be brief.") + count_tokens("Good morning") + 2 * MESSAGE_OVERHEAD
    assert reported.usage.input_tokens == expected
    assert finished == Finished(FinishReason.stop)


async def test_a_long_message_is_quoted_in_part() -> None:
    request = asked(Message(Role.user, " ".join(f"w{number}" for number in range(5000))))
    batches = await batches_of(EchoProvider("echo", word_delay=0), request)
    assert f"w{MAX_QUOTED - 1} …" in text_of(batches)
    assert f"w{MAX_QUOTED} " not in text_of(batches)


@pytest.mark.parametrize("messages", [(), (Message(Role.user, "  "),), (Message(Role.system, "Be brief."),)])
async def test_silence_is_answered_too(messages: tuple[Message, ...]) -> None:
    batches = await batches_of(EchoProvider("echo", word_delay=0), asked(*messages))
    assert "say something" in text_of(batches)


async def test_words_come_one_after_another() -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    batches = await batches_of(EchoProvider("echo", word_delay=0.005), asked(Message(Role.user, "Hi")))
    assert loop.time() - begun >= 0.005 * (len(batches) - 1)


async def test_a_notice_comes_once_and_first() -> None:
    provider = EchoProvider("local", notice="The model is away.", word_delay=0)
    batches = await batches_of(provider, asked(Message(Role.user, "Hi")))
    notices = [event for batch in batches for event in batch if isinstance(event, Noticed)]
    assert batches[0][0] == Noticed("The model is away.")
    assert len(notices) == 1
    assert provider.availability().readiness is Readiness.ready
