"""The ways in which an upstream goes wrong, by name: one script each, to be played as it is or changed.

upstream.enqueue(FAULTS["rate-limited"])
upstream.enqueue(msgspec.structs.replace(FAULTS["cut"], cut_at=120))
"""

from providers.scripted.script import FOREVER, Figures, Script, ToolCall
from providers.wires.wire import MAX_LINE, MAX_RESPONSE

_PING = 'data: {"type":"ping"}\n\n'
_TALK = ("The quick ", "brown fox ", "jumps over ", "the lazy dog.")
_HTML = "<html><body><h1>Bad gateway</h1></body></html>"

FAULTS: dict[str, Script] = {
    # Refusals, before any content.
    "rate-limited": Script(status=429, error="rate_limit_exceeded", headers={"retry-after": "2"}),
    "rate-limited-until": Script(
        status=429, error="rate_limit_exceeded", headers={"retry-after": "Fri, 31 Dec 2100 23:59:59 GMT"}
    ),
    "rate-limited-absurdly": Script(status=429, error="rate_limit_exceeded", headers={"retry-after": "999999"}),
    "out-of-quota": Script(status=429, error="insufficient_quota"),
    "payment-required": Script(status=402, error="billing_error"),
    "wrong-key": Script(status=401, error="invalid_api_key"),
    "forbidden": Script(status=403, error="permission_error"),
    "unknown-model": Script(status=404, error="model_not_found"),
    "context-too-long": Script(status=400, error="context_length_exceeded"),
    "prompt-filtered": Script(status=400, error="content_policy_violation"),
    "server-error": Script(status=500, error="server_error"),
    "bad-gateway-html": Script(status=502, body=_HTML, content_type="text/html"),
    "unavailable": Script(status=503, error="service_unavailable_error"),
    "gateway-timeout": Script(status=504, error="timeout_error"),
    "overloaded": Script(status=529, error="overloaded_error"),
    "key-echoed": Script(
        status=401, body='{"error":{"message":"Incorrect API key provided: {key}","code":"invalid_api_key"}}'
    ),
    "redirect": Script(status=307, body="", headers={"location": "http://127.0.0.1:9/elsewhere"}),
    # Silence.
    "silent-before-headers": Script(first_after=FOREVER),
    "silent-mid-stream": Script(reply=_TALK, ending="stall", cut_at=600),
    "comments-only": Script(comments_every=0.05),
    # Streams that end too early, or nearly.
    "cut": Script(reply=_TALK, cut_at=600),
    "closed-mid-body": Script(reply=_TALK, cut_at=600, ending="close"),
    "reset": Script(reply=_TALK, cut_at=600, ending="reset"),
    "reset-at-once": Script(cut_at=0, ending="reset"),
    "without-finish": Script(reply=_TALK, finish=None, done=False),
    "without-done": Script(reply=_TALK, done=False),
    "without-last-newline": Script(reply=_TALK, last_newline=False),
    "error-event": Script(reply=_TALK, error="overloaded_error"),
    # Nothing to say.
    "empty": Script(body=""),
    "no-content": Script(status=204, body=""),
    "role-only": Script(finish=None, usage=None),
    "finish-only": Script(),
    "filtered": Script(reply=_TALK[:1], finish="content_filter"),
    # Usage.
    "usage-missing": Script(reply=_TALK, usage=None),
    "usage-negative": Script(reply=_TALK, usage=Figures(input=-1, output=-7)),
    "usage-zero": Script(reply=_TALK, usage=Figures(input=0, output=0)),
    "usage-twice": Script(reply=_TALK, usage=Figures(times=2)),
    # Broken data.
    "malformed-json": Script(reply=_TALK, insert='data: {"type": "con\n\n'),
    "wrong-types": Script(reply=_TALK, insert='data: {"type": 5, "choices": "none"}\n\n'),
    "huge-line": Script(reply=_TALK, insert="data: " + "x" * MAX_LINE + "\n\n"),
    "tiny-events": Script(reply=_TALK, insert=_PING, insert_times=MAX_RESPONSE // len(_PING) + 1),
    "invalid-utf8": Script(reply=("caf\udcff", " au lait")),
    "nul": Script(reply=("a\0b",)),
    "lone-surrogate": Script(reply=("a\ud83db",)),
    "tool-call-cut": Script(tool_calls=(ToolCall("look_up", ('{"word": "fo',)),), finish="tool_calls"),
    "json-for-stream": Script(reply=_TALK, whole=True),
    "html-for-stream": Script(body=_HTML, content_type="text/html"),
    # Well-formed, but hard to read.
    "bytewise": Script(reply=("naïve ", "日本語 ", "🙂"), split=1),
    "slow-bytes": Script(reply=_TALK, split=1, split_gap=1.0),
    "carriage-returns": Script(reply=_TALK, newline="\r"),
    "crlf": Script(reply=_TALK, newline="\r\n"),
    "byte-order-mark": Script(reply=_TALK, byte_order_mark=True),
}
