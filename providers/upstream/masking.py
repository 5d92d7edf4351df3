"""The key of a call, masked in the answer: an upstream, or a proxy before it, may repeat it in the words of a reply."""

from providers.events import Event, Failed, Finished, ReasoningDelta, TextDelta, ToolCallDelta

SHORTEST = 8
"""Characters of the shortest secret that is masked: a placeholder of three letters would blot out half of a text."""

SHOWN = 3
"""Characters of the key that stay ("sk-"), so that only what goes on like the key beyond them is held back."""

Channel = type[TextDelta] | type[ReasoningDelta] | int
"""What goes on from delta to delta: the text, the reasoning, the arguments of the tool call of an index."""


class KeyMask:
    """Makes `sk-***` of one key, however the deltas of an answer split it."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._shown = key[:SHOWN]
        self._start = key[: SHOWN + 1]
        self._tails: dict[Channel, str] = {}  # ends that may begin the key; they were told up to SHOWN characters

    def masked(self, events: list[Event]) -> list[Event]:
        """The events without the key. What is held back comes with the next delta, or before the end."""
        told: list[Event] = []
        for event in events:
            if type(event) is TextDelta or type(event) is ReasoningDelta:
                text = self._told(type(event), event.text)
                if text is event.text:
                    told.append(event)
                elif text:
                    told.append(type(event)(text))
            elif type(event) is ToolCallDelta:
                arguments = self._told(event.index, event.arguments)
                told.append(ToolCallDelta(event.index, arguments, event.id, event.name))
            else:
                if type(event) is Finished or type(event) is Failed:
                    told += self.rest()
                told.append(event)
        return told

    def rest(self) -> list[Event]:
        """What is held back, once nothing follows that could make it the key."""
        tails, self._tails = self._tails, {}
        return [
            ToolCallDelta(channel, tail[SHOWN:]) if isinstance(channel, int) else channel(tail[SHOWN:])
            for channel, tail in tails.items()
            if len(tail) > SHOWN
        ]

    def _told(self, channel: Channel, text: str) -> str:
        before = self._tails.pop(channel, "") if self._tails else ""
        whole = before + text if before else text
        if self._start not in whole:  # nearly always
            if whole[-1:] in self._shown:
                self._tails[channel] = whole[-SHOWN:]
            return text
        whole = whole.replace(self._key, self._shown + "***")
        longest = min(len(whole), len(self._key) - 1)
        tail = next((size for size in range(longest, 0, -1) if whole.endswith(self._key[:size])), 0)
        if tail:
            self._tails[channel] = whole[-tail:]
        return whole[min(len(before), SHOWN) : len(whole) - max(0, tail - SHOWN)]
