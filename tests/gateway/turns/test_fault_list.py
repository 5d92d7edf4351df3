"""Every way in which an upstream goes wrong, through the whole gateway: what is stored, told and asked again."""

from collections.abc import Iterator

import msgspec
import pytest
from builders import Gateway, Person, text_of
from turn_streams import ended_well, numbers, whole

from providers.scripted.faults import FAULTS
from providers.scripted.script import Script
from providers.scripted.server import ScriptedUpstream

pytestmark = pytest.mark.anyio

TALK = "The quick brown fox jumps over the lazy dog."
SOME = "some of the talk, not all"
ONCE, TWICE, THRICE = 1, 2, 3


class Case(msgspec.Struct, frozen=True):
    """What becomes of a turn: its state, the error's code, the text that is kept, and how often the model is asked."""

    state: str
    code: str | None
    text: str
    asked: int


def _failed(code: str, asked: int, text: str = "") -> Case:
    return Case("failed", f"upstream-{code}", text, asked)


COMPLETED = Case("completed", None, TALK, ONCE)
TRUNCATED = Case("truncated", None, SOME, ONCE)

CASES = {
    # 1-3: refusals before any content.
    "rate-limited": _failed("rate-limited", THRICE),
    "rate-limited-until": _failed("rate-limited", ONCE),
    "rate-limited-absurdly": _failed("rate-limited", ONCE),
    "out-of-quota": _failed("spend-limit", ONCE),
    "payment-required": _failed("spend-limit", ONCE),
    "wrong-key": _failed("credentials", ONCE),
    "forbidden": _failed("credentials", ONCE),
    "key-echoed": _failed("credentials", ONCE),
    "unknown-model": _failed("refused", ONCE),
    "context-too-long": _failed("context-too-long", ONCE),
    "server-error": _failed("unavailable", THRICE),
    "bad-gateway-html": _failed("unavailable", THRICE),
    "unavailable": _failed("overloaded", THRICE),
    "overloaded": _failed("overloaded", THRICE),
    "gateway-timeout": _failed("timeout", THRICE),
    # 4-6: streams that end too early.
    "error-event": _failed("overloaded", ONCE, TALK),
    "cut": TRUNCATED,
    "closed-mid-body": TRUNCATED,
    "reset": TRUNCATED,
    "reset-at-once": _failed("unavailable", THRICE),
    "without-finish": Case("truncated", None, TALK, ONCE),
    "without-done": COMPLETED,
    "without-last-newline": COMPLETED,
    # 7: nothing to say.
    "empty": _failed("empty", TWICE),
    "role-only": _failed("empty", TWICE),
    "finish-only": _failed("empty", TWICE),
    "no-content": _failed("protocol", ONCE),
    # 8-10: broken, odd or endless data.
    "malformed-json": _failed("protocol", ONCE, TALK),
    "wrong-types": _failed("protocol", ONCE, TALK),
    "huge-line": _failed("too-large", ONCE, TALK),
    "tiny-events": _failed("too-large", ONCE, TALK),
    "invalid-utf8": Case("completed", None, "caf\ufffd au lait", ONCE),
    "nul": Case("completed", None, "a\ufffdb", ONCE),
    "lone-surrogate": Case("completed", None, "a\ufffdb", ONCE),
    "bytewise": Case("completed", None, "naïve 日本語 🙂", ONCE),
    "carriage-returns": COMPLETED,
    "crlf": COMPLETED,
    "byte-order-mark": COMPLETED,
    # 11: silence.
    "silent-before-headers": _failed("timeout", THRICE),
    "comments-only": _failed("timeout", THRICE),
    "slow-bytes": _failed("timeout", THRICE),
    "silent-mid-stream": _failed("timeout", ONCE, SOME),
    # 15-18: tools, filters, other dress, usage.
    "tool-call-cut": _failed("empty", ONCE),
    "filtered": Case("filtered", None, "The quick ", ONCE),
    "prompt-filtered": Case("filtered", "upstream-filtered", "", ONCE),
    "json-for-stream": _failed("protocol", ONCE),
    "html-for-stream": _failed("protocol", ONCE),
    "redirect": _failed("protocol", ONCE),
    "usage-missing": COMPLETED,
    "usage-negative": COMPLETED,
    "usage-zero": COMPLETED,
    "usage-twice": COMPLETED,
}

WIRES = {"openai": "mia", "anthropic": "claude"}
"""The persona that is answered over each wire."""

ON = [("sqlite", "openai"), ("sqlite", "anthropic"), ("postgresql", "openai")]
"""Each database, and each wire; what a wire says is the same to both databases."""

SILENT = ("silent-before-headers", "comments-only", "slow-bytes", "silent-mid-stream")
"""Faults that are over when a clock runs out."""

_people: dict[Gateway, Person] = {}


async def somebody(gateway: Gateway) -> Person:
    """One person for all tests that share a gateway."""
    if gateway not in _people:
        _people[gateway] = await gateway.person("ada")
    return _people[gateway]


@pytest.fixture(autouse=True)
def _silent_again(shared_upstream: ScriptedUpstream) -> Iterator[None]:
    shared_upstream.requests.clear()
    yield
    shared_upstream.default = None


def test_every_fault_has_its_row() -> None:
    assert set(CASES) == set(FAULTS)


@pytest.mark.parametrize(("shared_address", "wire"), ON, indirect=["shared_address"], scope="module")
@pytest.mark.parametrize("fault", [fault for fault in CASES if fault not in SILENT])
async def test_a_fault(shared: Gateway, shared_upstream: ScriptedUpstream, fault: str, wire: str) -> None:
    await play(shared, shared_upstream, fault, wire)


@pytest.mark.parametrize(("hasty_address", "wire"), ON, indirect=["hasty_address"], scope="module")
@pytest.mark.parametrize("fault", SILENT)
async def test_silence(hasty: Gateway, shared_upstream: ScriptedUpstream, fault: str, wire: str) -> None:
    await play(hasty, shared_upstream, fault, wire)


async def play(gateway: Gateway, upstream: ScriptedUpstream, fault: str, wire: str) -> None:
    ada = await somebody(gateway)
    chat = await ada.chat(WIRES[wire])
    upstream.default = FAULTS[fault]
    async with ada.stream(chat) as source:
        events = await whole(source)
    turn = await ended_well(ada, events)
    case = CASES[fault]
    kept = turn["reply"]["content"]
    assert (turn["state"], turn["error"] and turn["error"]["code"]) == (case.state, case.code)
    if case.text is SOME:
        assert kept
        assert TALK.startswith(kept)
    else:
        assert kept == case.text
    assert len(upstream.requests) == case.asked
    assert numbers(events) == list(range(len(events)))
    reply = (await ada.messages(chat))[-1]
    assert (reply["content"], reply["state"]) == (kept, case.state)
    if kept:
        assert turn["usage"]["output_tokens"] >= 0
        assert turn["usage"]["estimated"] in (True, False)
    upstream.default = Script(reply="Here again")
    assert (await ada.turn(chat, "And now?"))["state"] == "completed"


@pytest.mark.parametrize(("shared_address", "wire"), ON, indirect=["shared_address"], scope="module")
async def test_as_json_a_failed_turn_is_the_same(shared: Gateway, shared_upstream: ScriptedUpstream, wire: str) -> None:
    ada = await somebody(shared)
    shared_upstream.default = FAULTS["error-event"]
    turn = await ada.turn(await ada.chat(WIRES[wire]))
    assert (turn["state"], turn["reply"]["content"]) == ("failed", TALK)
    assert (await ada.get(f"/api/turns/{turn['id']}")).json() == turn


async def test_nobody_at_the_address(shared: Gateway, shared_upstream: ScriptedUpstream) -> None:
    ada = await somebody(shared)
    async with ada.stream(await ada.chat("lost")) as source:
        turn = await ended_well(ada, await whole(source))
    assert turn["error"]["code"] == "upstream-unavailable"
    assert len(turn["notices"]) == 0
    assert not shared_upstream.requests


async def test_a_fault_that_passes_leaves_a_notice_and_a_reply(
    shared: Gateway, shared_upstream: ScriptedUpstream
) -> None:
    ada = await somebody(shared)
    shared_upstream.enqueue(FAULTS["overloaded"], "Better now")
    turn = await ada.turn(await ada.chat())
    assert (turn["state"], turn["reply"]["content"]) == ("completed", "Better now")
    assert len(turn["notices"]) == 1
    assert len(shared_upstream.requests) == 2


@pytest.mark.parametrize(("shared_address", "wire"), ON, indirect=["shared_address"], scope="module")
@pytest.mark.parametrize("size", [1, 80, 240, 300, 420, 700, 1100])
async def test_a_connection_reset_at_any_byte(
    shared: Gateway, shared_upstream: ScriptedUpstream, wire: str, size: int
) -> None:
    ada = await somebody(shared)
    shared_upstream.default = msgspec.structs.replace(FAULTS["reset"], cut_at=size)
    async with ada.stream(await ada.chat(WIRES[wire])) as source:
        events = await whole(source)
    turn = await ended_well(ada, events)
    assert TALK.startswith(text_of(events))
    if text_of(events):
        assert (turn["state"], len(shared_upstream.requests)) == ("truncated", 1)
    else:
        assert (turn["state"], len(shared_upstream.requests)) == ("failed", 3)
