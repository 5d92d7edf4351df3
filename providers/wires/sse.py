"""Splitting a byte stream into server-sent events, without I/O and without decoding text.

The rules are those of the HTML standard (https://html.spec.whatwg.org/multipage/server-sent-events.html, "parsing an
event stream"): lines end with LF, CR or CRLF, a leading byte order mark is dropped, lines that begin with a colon are
comments, one space after the field's colon is dropped, data lines of one event are joined with LF. One departure: the
standard discards an event whose closing blank line never came, and upstreams do leave it out, so `close` gives it.

Everything stays bytes, so a read may end anywhere, inside a UTF-8 character too; what is decoded is a whole line.
"""

from providers.wires.wire import MAX_LINE, MAX_RESPONSE

Frame = tuple[bytes, bytes]
"""One event: its name (empty when it has none) and its data."""

LINE_TOO_LONG = f"A line of the provider's answer is longer than {MAX_LINE} bytes."
RESPONSE_TOO_LONG = f"The provider's answer is longer than {MAX_RESPONSE} bytes."

_BOM = b"\xef\xbb\xbf"


class SSESplitter:
    """Turns reads into frames. Holds at most one unfinished line and the data of one unfinished event.

    `too_large` becomes a sentence when a line or the whole response outgrew its cap; nothing is split from there on.
    """

    def __init__(self) -> None:
        self.too_large = ""
        self._parts: list[bytes] = []  # the unfinished line; joined once, so that tiny reads stay linear
        self._parts_size = 0
        self._received = 0
        self._name = b""
        self._data: list[bytes] = []
        self._at_start = True
        self._after_cr = False

    def feed(self, read: bytes) -> list[Frame]:
        """The frames that these bytes complete."""
        if not read or self.too_large:
            return []
        self._received += len(read)
        too_long = self._received - MAX_RESPONSE
        if too_long > 0:  # what fits is still split: the same frames come out however the network cut the bytes
            read = read[:-too_long] if too_long < len(read) else b""
        if b"\r" in read or self._after_cr:
            read = self._with_line_feeds(read)
        frames: list[Frame] = []
        lines = read.split(b"\n")
        if len(lines) == 1:
            self._parts.append(read)
            self._parts_size += len(read)
        else:
            if self._parts:
                lines[0] = b"".join((*self._parts, lines[0]))
            last = lines.pop()
            self._parts = [last] if last else []
            if len(read) + self._parts_size > MAX_LINE:
                lines = self._up_to_cap(lines)
            self._parts_size = len(last)
            self._take(lines, frames)
        if self._parts_size > MAX_LINE:
            self.too_large = LINE_TOO_LONG
        if too_long > 0 and not self.too_large:
            self.too_large = RESPONSE_TOO_LONG
        return frames

    def close(self) -> list[Frame]:
        """The frame left when the connection ended without a last blank line or line break."""
        if self.too_large:
            return []
        frames: list[Frame] = []
        self._take([b"".join(self._parts), b""], frames)
        return frames

    def _take(self, lines: list[bytes], frames: list[Frame]) -> None:
        if self._at_start and lines:
            lines[0] = lines[0].removeprefix(_BOM)
            self._at_start = False
        data = self._data
        for line in lines:
            if line[:6] == b"data: ":  # nearly every line that is not blank
                data.append(line[6:])
            elif not line:
                if data:
                    frames.append((self._name, data[0] if len(data) == 1 else b"\n".join(data)))
                    data.clear()
                self._name = b""
            else:
                field, _, value = line.partition(b":")
                if field == b"data":
                    data.append(value.removeprefix(b" "))
                elif field == b"event":
                    self._name = value.removeprefix(b" ")

    def _with_line_feeds(self, read: bytes) -> bytes:
        if self._after_cr and read.startswith(b"\n"):  # the second half of a CRLF that two reads share
            read = read[1:]
        self._after_cr = read.endswith(b"\r")
        return read.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _up_to_cap(self, lines: list[bytes]) -> list[bytes]:
        for index, line in enumerate(lines):
            if len(line) > MAX_LINE:
                self.too_large = LINE_TOO_LONG
                return lines[:index]
        return lines
