/** Server-sent events out of text that may be split anywhere, as the HTML standard describes their parsing. */

export class EventStreamParser {
  #rest = "";
  #afterCarriageReturn = false;
  #name = "";
  #data = [];
  #lastId = "";

  /** Take a piece of the stream; the events it completes, as `{id, name, data}` with `data` a string. */
  feed(text) {
    const closesLineEnd = this.#afterCarriageReturn && text.startsWith("\n");
    if (text) this.#afterCarriageReturn = text.endsWith("\r");
    const lines = (this.#rest + text.slice(closesLineEnd ? 1 : 0)).split(/\r\n|\n|\r/);
    this.#rest = lines.pop();
    return lines.map((line) => this.#line(line)).filter((event) => event !== null);
  }

  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#name = value;
    else if (field === "id") this.#lastId = value;
    return null;
  }

  #dispatch() {
    const event = this.#data.length ? { id: this.#lastId, name: this.#name || "message", data: this.#data.join("\n") } : null;
    this.#name = "";
    this.#data = [];
    return event;
  }
}

/** The events of a response's body, in arrays: those of one read together. Ends with the stream, or by the signal. */
export async function* readEvents(response, signal) {
  const parser = new EventStreamParser();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const leave = () => reader.cancel().catch(() => {});
  signal.addEventListener("abort", leave);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return;
      const events = parser.feed(value);
      if (events.length) yield events;
    }
  } finally {
    signal.removeEventListener("abort", leave);
    await leave();
  }
}
