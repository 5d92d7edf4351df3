"""A client's connection, bounded: in the bytes of its headers, and in the time to send a request and take an answer.

uvicorn bounds neither. The clocks run only while a client is behind: a request that comes in one piece, and an answer
that is taken as it is written, set none.

An offer to change the protocol (`Upgrade`) is ignored, as RFC 9110 7.8 lets a server do: what follows the headers is
the request's body, where uvicorn would take it for the next request.

Answers keep the order of their requests: a request that is refused while earlier ones wait for their answers gets none,
and the connection ends after theirs.
"""

from asyncio import BaseTransport, TimerHandle
from typing import Literal

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.http.problems import MEDIA_TYPE, problem_body
from storage.database.columns import new_id

MOST_HEADER_BYTES = 65_536
"""Bytes of a request that are not its body's content: request line, headers, the framing of a chunked body."""

MOST_HEADERS = 128

MOST_PIPELINED = 16
"""Requests that may wait on one connection; uvicorn would read on while it answers, and queue without end."""

HEADERS_WITHIN = 20.0
"""Seconds from the connection, or from the first byte of a later request, until the headers are complete."""

BODY_PATIENCE = 30.0
"""Seconds in which `LEAST_PROGRESS` of a body has to come, or its end."""

ANSWER_PATIENCE = 60.0
"""Seconds in which `LEAST_PROGRESS` of an answer that stands unsent has to be taken, or all of it."""

LEAST_PROGRESS = 16_384


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's protocol, which refuses with 431 and 408, and hangs up on clients that neither send nor read."""

    _awaited: Literal["headers", "body"] | None = "headers"
    _framing = 0
    _content = 0
    _unsent = 0
    _ending = False
    _sending: TimerHandle | None = None
    _taking: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._sending = self.loop.call_later(HEADERS_WITHIN, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_sending_clock()
        self._stop_taking_clock()

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        self._framing += len(data)
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            if self._has_large_headers():
                self._refuse_headers()
            else:
                self._refuse(400, "malformed-request", "This is not valid HTTP/1.1. Correct the request.")
            return
        if self._awaited is None and not self.cycle.response_complete:
            return
        if self._framing > MOST_HEADER_BYTES:
            self._refuse_headers()
        elif self._sending is None and self._awaited == "body":
            self._sending = self.loop.call_later(BODY_PATIENCE, self._body_is_due)
        elif self._sending is None and not self.flow.read_paused:
            self._sending = self.loop.call_later(HEADERS_WITHIN, self._hang_up_in_turn)

    def on_message_begin(self) -> None:
        self._awaited = "headers"
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._has_large_headers() or len(self.pipeline) >= MOST_PIPELINED:
            raise ValueError("stops the parser")
        if self._is_upgrade():
            return
        super().on_headers_complete()
        self._awaited = "body"
        self._stop_sending_clock()

    def on_body(self, body: bytes) -> None:
        self._framing -= len(body)
        self._content += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._is_upgrade():
            return
        self._awaited = None
        self._framing = self._content = 0
        self._stop_sending_clock()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._ending and not self.pipeline:
            self.transport.close()
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_unsent()
        elif self.timeout_keep_alive_task is not None and self._awaited == "headers":
            # The connection is not idle: a request began to come while reading was paused.
            self._unset_keepalive_if_required()
            if self._sending is None:
                self._sending = self.loop.call_later(HEADERS_WITHIN, self._hang_up)

    def timeout_keep_alive_handler(self) -> None:
        self._hang_up()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_unsent()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_taking_clock()

    def _parse(self, data: bytes) -> None:
        """Call the `on_` methods for what is in these bytes; an upgrade's request is begun anew without the offer."""
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            head = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
            head += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
            # The old parser takes nothing more where the request was also the connection's last.
            self.parser = HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self._parse(b"\r\n".join([*head, b"", data[upgrade.args[0] :]]))

    def _is_upgrade(self) -> bool:
        """Whether the parser stops after these headers; with CONNECT it does so too, which uvicorn refuses."""
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def _has_large_headers(self) -> bool:
        if self.headers is None:
            return False
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        return size > MOST_HEADER_BYTES or len(self.headers) > MOST_HEADERS

    def _body_is_due(self) -> None:
        answered = self.cycle.response_complete
        if self.flow.read_paused or (self._content >= LEAST_PROGRESS and not answered):
            self._content = 0
            self._sending = self.loop.call_later(BODY_PATIENCE, self._body_is_due)
        elif answered:
            self._hang_up()
        else:
            self._refuse(408, "request-timeout", "The request's body did not come in time. Send it again.")

    def _refuse_headers(self) -> None:
        detail = f"A request's headers may be {MOST_HEADERS} and have {MOST_HEADER_BYTES} bytes. Send fewer or shorter."
        self._refuse(431, "headers-too-large", detail)

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer the request that is being read, if it is its turn, and hang up."""
        has_cycle = self._awaited == "body"
        if has_cycle and self.pipeline:
            self.pipeline.popleft()  # its cycle, the latest: it shall not run, as its body will not be whole
            self._hang_up_in_turn()
            return
        if not has_cycle and self._owes_answers():
            self._hang_up_in_turn()
            return
        if not has_cycle or not self.cycle.response_started:
            body = problem_body(status, code, detail, request_id=new_id().hex)
            head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + head.encode() + body)
        self._hang_up()

    def _owes_answers(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _hang_up_in_turn(self) -> None:
        """Hang up after the answers to what was asked before.

        What comes meanwhile is read and dropped: left unread, it would have the system reset the connection, and the
        answers would be lost.
        """
        if self._owes_answers():
            self._ending = True
            self._stop_sending_clock()
            self.flow.resume_reading()
        else:
            self._hang_up()

    def _hang_up(self) -> None:
        self.transport.close()
        self._watch_unsent()

    def _watch_unsent(self) -> None:
        """Abort the connection unless the client takes what stands unsent, which `close` alone would wait for."""
        if self._taking is None:
            self._unsent = self.transport.get_write_buffer_size()
            self._taking = self.loop.call_later(ANSWER_PATIENCE, self._answer_is_due)

    def _answer_is_due(self) -> None:
        self._taking = None
        if self._unsent - self.transport.get_write_buffer_size() < LEAST_PROGRESS:
            self.transport.abort()
        else:
            self._watch_unsent()

    def _stop_sending_clock(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _stop_taking_clock(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
