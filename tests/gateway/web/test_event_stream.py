"""The page's reader of server-sent events, in the browser that runs it."""

from typing import Any

import pytest
from playwright.sync_api import Page

STREAM = (
    'retry: 2000\n\n: ping\n\nid: t.0\nevent: turn.started\ndata: {"a": 1}\n\n'
    'id: t.1\r\nevent: reply.delta\r\ndata: {"text":"grüße 👋"}\r\n\r\n'
    "id: t.2\revent: reply.delta\rdata:one\rdata: two\r\rdata\n\nevent: alone\n\nid: t.3\ndata: end\n\ndata: unfinished"
)
EVENTS = [
    {"id": "t.0", "name": "turn.started", "data": '{"a": 1}'},
    {"id": "t.1", "name": "reply.delta", "data": '{"text":"grüße 👋"}'},
    {"id": "t.2", "name": "reply.delta", "data": "one\ntwo"},
    {"id": "t.2", "name": "message", "data": ""},
    {"id": "t.3", "name": "message", "data": "end"},
]
READ = """async ([stream, cuts]) => {
  const script = document.querySelector('script[type=module]').src;
  const { readEvents } = await import(script.replace('main.js', 'event-stream.js'));
  const bytes = new TextEncoder().encode(stream);
  const read = [];
  for (const pieces of cuts) {
    const ends = [...pieces, bytes.length];
    const body = new ReadableStream({ start(controller) {
      let from = 0;
      for (const to of ends) { controller.enqueue(bytes.slice(from, to)); from = to; }
      controller.close();
    }});
    const events = [];
    for await (const some of readEvents(new Response(body), new AbortController().signal)) events.push(...some);
    read.push(JSON.stringify(events));
  }
  return [...new Set(read)].map(JSON.parse);
}"""


@pytest.mark.parametrize("way", ["in two pieces", "byte by byte", "whole"])
def test_events_are_the_same_however_the_bytes_are_cut(page: Page, way: str) -> None:
    length = len(STREAM.encode())
    cuts: dict[str, Any] = {
        "in two pieces": [[at] for at in range(1, length)],
        "byte by byte": [list(range(1, length))],
        "whole": [[]],
    }
    page.goto("/")
    assert page.evaluate(READ, [STREAM, cuts[way]]) == [EVENTS]
