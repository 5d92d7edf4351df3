"""A provider over HTTP: a wire for what is said, the transport for the bytes, a pool for the keys."""

import asyncio
from collections.abc import AsyncGenerator, Mapping

from providers.errors import EmptyCompletion, ProtocolError, ProviderError, UpstreamUnavailable
from providers.events import Event, Failed, Finished, FinishReason, Noticed, ReasoningDelta, TextDelta, ToolCallDelta
from providers.models import ModelRequest
from providers.provider import Availability, Readiness
from providers.upstream.clocks import Clocks, Watch
from providers.upstream.keys import KeyPool, Secret
from providers.upstream.masking import SHORTEST, KeyMask
from providers.upstream.retries import Retries
from providers.upstream.transport import Response, Transport
from providers.wires.wire import StreamReader, Wire


class HTTPProvider:
    """Answers requests with an upstream's stream; asks again, with another key where that helps."""

    def __init__(
        self, name: str, base_url: str, wire: Wire, transport: Transport, keys: KeyPool, clocks: Clocks
    ) -> None:
        self.name = name
        self._url = base_url + wire.path
        self._wire = wire
        self._transport = transport
        self._keys = keys
        self._clocks = clocks

    def availability(self) -> Availability:
        """Ready, or without a key; whether the upstream answers shows when it is asked."""
        missing = self._keys.missing()
        return Availability(Readiness.no_key, missing.message) if missing else Availability(Readiness.ready)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[list[Event], None]:
        """The answer, as `Provider.stream` promises it."""
        asked = self._wire.request(request)
        notices = asked.notices
        call = asyncio.get_running_loop().time()
        try:
            answer, events = await self._attempt(asked.body, request.request_id, call)
        except ProviderError as error:
            retries = Retries(self._keys)
            answer, events = await retries.run(error, lambda: self._attempt(asked.body, request.request_id, call))
            notices += tuple(retries.notices)
        try:
            yield [*map(Noticed, notices), *events]
            while events := await answer.read():
                yield events
        finally:
            answer.close()

    async def _attempt(self, body: bytes, request_id: str, call: float) -> tuple["_Answer", list[Event]]:
        """An answer that has begun, and its events so far; their last read brought the first content."""
        key = self._keys.take()
        headers = self._wire.headers(key.reveal() if key else None)
        if request_id:
            headers["x-request-id"] = request_id
        begun = asyncio.get_running_loop().time()
        try:
            response = await self._transport.post(self._url, headers, body, self._clocks, end=call + self._clocks.total)
            watch = Watch(self._clocks, call, begun, response.close)
            answer = _Answer(response, self._wire.reader(), watch, _mask_of(key))
            try:
                if response.status != 200:
                    raise self._wire.error(response.status, response.headers, await response.read_error())
                _require_stream(response.headers)
                return answer, await answer.begin()
            except BaseException:
                answer.close()
                raise
        except ProviderError as error:
            if key and error.blames_key:
                self._keys.rest(key, error)
            raise


class _Answer:
    """One response of status 200, read event by event."""

    def __init__(self, response: Response, reader: StreamReader, watch: Watch, mask: KeyMask | None) -> None:
        self._response = response
        self._reader = reader
        self._watch = watch
        self._mask = mask
        self._has_content = False
        self._finished: FinishReason | None = None
        self._ended = False

    async def begin(self) -> list[Event]:
        """All events up to the read with the first content. Raises `ProviderError` when there is none."""
        events: list[Event] = []
        while not (self._has_content or self._ended):
            events += await self._next()
        if self._has_content:
            if self._finished is None:
                self._watch.begin_idle()
            self._watch.pause()
            return events
        if self._finished is FinishReason.content_filter:
            return events
        if events and isinstance(failed := events[-1], Failed):
            raise failed.error
        raise EmptyCompletion("The provider ended its answer before it said anything.")

    async def read(self) -> list[Event]:
        """The events of the next read that has any; none at the end."""
        self._watch.feed()
        while not self._ended:
            if events := await self._next():
                self._watch.pause()
                return events
        return []

    def close(self) -> None:
        """Hang up, and stop the clocks."""
        self._watch.stop()
        self._response.close()

    async def _next(self) -> list[Event]:
        try:
            data = await self._response.read()
        except ProviderError as error:
            self._ended = True
            events = self._reader.close()
            failure = self._watch.error or error
            # A reply whose connection broke is cut short, however it broke: truncated, like one that just ends.
            cut_short = self._has_content and isinstance(failure, UpstreamUnavailable)
            if self._finished is None and not cut_short:
                events.append(Failed(failure))
        else:
            if data:
                events = self._reader.feed(data)
            else:
                self._ended = True
                events = self._reader.close()
        self._note(events)
        if self._mask is None:
            return events
        events = self._mask.masked(events)
        return events + self._mask.rest() if self._ended else events

    def _note(self, events: list[Event]) -> None:
        for event in events:
            kind = type(event)
            if kind is TextDelta or kind is ReasoningDelta or kind is ToolCallDelta:
                self._has_content = True
            elif isinstance(event, Finished):
                self._finished = event.reason
                self._watch.begin_linger()
            elif kind is Failed:
                self._ended = True


def _mask_of(key: Secret | None) -> KeyMask | None:
    return KeyMask(key.reveal()) if key and len(key.reveal()) >= SHORTEST else None


def _require_stream(headers: Mapping[str, str]) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("text/event-stream", "application/json"):  # of a JSON document the reader says what it means
        raise ProtocolError("The provider answered with something other than an event stream.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise ProtocolError("The provider packed its answer, which it was asked not to do.")
