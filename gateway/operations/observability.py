"""Logs: one JSON object a line, without content and without secrets.

Messages are constant sentences and facts are fields, so nothing that people or providers wrote gets into a log by
accident. The filter is a last resort: it masks whatever looks like one of our tokens or a provider's key, and the
secrets that the process holds, however they look.
"""

import logging
import re
import sys
import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

from providers.upstream.masking import SHORTEST

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}
_SECRET = re.compile(r"\bgw_(?:ses|pat)_[0-9A-Za-z]{8,}|\bsk-[0-9A-Za-z_-]{8,}|(?i:bearer )[^\s\"']{8,}")
_live: re.Pattern[str] | None = None
"""What matches the secrets that the process holds now; made when they change, so that a line costs one search."""


def hide_in_logs(secrets: Iterable[str]) -> None:
    """Mask these secrets, and no others that were named before, in every line: as they are, quoted, and in base64."""
    global _live
    forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
    longest_first = sorted(forms, key=len, reverse=True)
    _live = re.compile("|".join(map(re.escape, longest_first))) if forms else None


class JSONFormatter(logging.Formatter):
    """A log record as a line of JSON, in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in record.__dict__.items() if name not in _STANDARD},
        }
        if record.exc_info:
            fields["exception"] = "".join(traceback.format_exception(*record.exc_info))
        line = msgspec.json.encode(fields, enc_hook=str).decode()
        return _SECRET.sub("***", _live.sub("***", line) if _live else line)


def _forms(secret: str) -> Iterator[str]:
    """The ways in which a secret may stand in a line of JSON."""
    raw = secret.encode()
    for form in (secret, quote(secret, safe=""), b64encode(raw).decode(), urlsafe_b64encode(raw).decode()):
        yield msgspec.json.encode(form.rstrip("=")).decode()[1:-1]


class PlainFormatter(JSONFormatter):
    """The same record for a person at a terminal: the time, the sentence, and the facts behind it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and below it the exception if there is one."""
        fields = msgspec.json.decode(super().format(record))
        at, sentence, exception = fields.pop("at")[11:19], fields.pop("message"), fields.pop("exception", None)
        facts = " ".join(f"{name}={value}" for name, value in fields.items() if name not in ("logger", "level"))
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        return f"{at} {level}{sentence}  {facts}".rstrip() + (f"\n{exception}" if exception else "")


def configure_logging(level: str) -> None:
    """Send all logs to standard error: as JSON lines, or as plain ones where a person looks on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter() if sys.stderr.isatty() else JSONFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("asyncio", "httpx", "httpx2", "alembic", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
