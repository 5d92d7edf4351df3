"""A turn's log: who reads on gets every event; who is too far behind gets everything so far as one."""

import json
from uuid import UUID

import pytest

from gateway.turns.log import MOST_KEPT, TurnLog
from gateway.turns.views import TurnStarted
from storage.database.columns import new_id

TURN = new_id()
WORDS = [f"{number} " for number in range(3 * MOST_KEPT)]


def opened() -> TurnLog:
    log = TurnLog(TURN, new_id())
    ids = {name: new_id() for name in ("chat_id", "user_message_id", "reply_message_id")}
    log.start(TurnStarted(turn_id=TURN, persona="mia", model="m", **ids))
    return log


def told(log: TurnLog, after: int) -> list[tuple[int, str, dict[str, str]]]:
    """(number, name, data) of each event after the one of this number."""
    events = []
    for block in log.since(after).decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        turn, number = fields["id"].split(".")
        assert UUID(turn) == TURN
        events.append((int(number), fields["event"], json.loads(fields["data"])))
    return events


def test_a_reader_that_keeps_up_is_told_every_event_once() -> None:
    log, seen, events = opened(), -1, []
    for word in WORDS:
        log.add_text(word)
        events += told(log, seen)
        seen = log.newest
    assert [number for number, _, _ in events] == list(range(len(WORDS) + 1))
    assert [data["text"] for _, name, data in events if name == "reply.delta"] == WORDS


@pytest.mark.parametrize("seen", [-1, 0, 1, MOST_KEPT - 1, len(WORDS) - MOST_KEPT // 2, len(WORDS) - 1, len(WORDS)])
def test_a_reader_that_comes_back_has_the_whole_text_in_the_end(seen: int) -> None:
    log = opened()
    for word in WORDS:
        log.add_text(word)
    events = told(log, seen)
    log.add_text("and on")
    events += told(log, events[-1][0] if events else seen)
    text = "".join(WORDS[:seen]) if seen > 0 else ""
    for _, name, data in events:
        if name == "turn.snapshot":
            text = data["text"]
        elif name == "reply.delta":
            text += data["text"]
    assert text == log.text == "".join(WORDS) + "and on"
    numbers = [number for number, _, _ in events]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == log.newest
    assert (events[0][1] == "turn.started") == (seen < 0)


def test_a_long_stream_takes_no_more_memory_than_its_text() -> None:
    log = opened()
    for word in WORDS:
        log.add_text(word)
        assert len(log.since(log.newest - MOST_KEPT // 2 + 1).split(b"\n\n")) <= MOST_KEPT
        assert len(log._events) <= MOST_KEPT
