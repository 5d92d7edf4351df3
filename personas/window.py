"""Which part of a chat's history is sent: whole turns, from a start that is carried from turn to turn."""

from collections.abc import Sequence

from personas.segments import Segment


def fit_turns(history: Sequence[Segment], starts: Sequence[int], room: int, target: int, min_turns: int) -> int:
    """The index of the first history segment to keep, 0 where all fit.

    `starts` are the indices where a person's message opens a turn; what stands before the first of them (a greeting)
    goes first. Over `room` tokens, whole turns go until `target` is met: going well below the limit at once keeps the
    beginning of the prompt the same for many turns, where going one turn at a time would change it every turn. The
    newest `min_turns` turns stay, even where they exceed `room`: that is for the caller to judge.
    """
    tokens = sum(segment.tokens for segment in history if segment.kept)
    if tokens <= room:
        return 0
    kept_from = 0
    for start in starts[: max(1, len(starts) - min_turns + 1)] or [len(history)]:
        tokens -= sum(segment.tokens for segment in history[kept_from:start] if segment.kept)
        kept_from = start
        if tokens <= target:
            break
    return kept_from
