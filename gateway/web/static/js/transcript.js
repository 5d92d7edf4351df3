/** The messages on the page: drawn again only where they changed, and written to as a reply arrives. */

import { editorElement, messageElement } from "./message.js";

export class Transcript {
  #list;
  #actions;
  #drawn = new Map();

  /** `describe(message)` says who spoke; `actions` is what the buttons of a message do. */
  constructor(list, describe, actions) {
    this.#list = list;
    this.describe = describe;
    this.#actions = { ...actions, edit: (message) => this.openEditor(message, message.content) };
  }

  show(messages) {
    const drawn = new Map();
    for (const message of messages) {
      const about = this.describe(message);
      const made = JSON.stringify([message, about]);
      const before = this.#drawn.get(message.id);
      const element = before?.made === made ? before.element : messageElement(message, about, this.#actions);
      drawn.set(message.id, { made, element });
    }
    this.#drawn = drawn;
    this.#place([...drawn.values()].map(({ element }) => element));
  }

  /** Moving an element takes its focus and selection away, so only those out of place are moved. */
  #place(elements) {
    const wanted = new Set(elements);
    for (const element of [...this.#list.children]) if (!wanted.has(element)) element.remove();
    elements.forEach((element, position) => {
      if (this.#list.children[position] !== element) this.#list.insertBefore(element, this.#list.children[position] ?? null);
    });
  }

  elementOf(id) {
    return this.#drawn.get(id)?.element ?? null;
  }

  /** While a reply is being written, what would start another is out of the way. */
  setBusy(busy) {
    this.#list.setAttribute("aria-busy", busy);
  }

  openEditor(message, text) {
    const element = this.elementOf(message.id);
    const close = () => {
      editor.remove();
      element.classList.remove("editing");
      element.querySelector("[aria-label=Edit]")?.focus();
    };
    const onSave = (edited) => {
      close();
      this.#actions.resend(message, edited);
    };
    const editor = editorElement(text, { onSave, onCancel: close });
    element.classList.add("editing");
    element.append(editor);
    editor.querySelector("textarea").focus();
  }

  /** A reply as it arrives. Many pieces may come between two frames: the page is written once a frame. */
  arriving(id) {
    let text = "";
    let written = null;
    let planned = false;
    const write = () => {
      planned = false;
      const element = this.elementOf(id);
      // The reply may have ended, and have been rendered, since this frame was asked for.
      if (element?.dataset.state !== "running") return;
      const body = element.querySelector(".message-body");
      if (written && written.node === body.firstChild && text.startsWith(written.text)) {
        written.node.appendData(text.slice(written.text.length));
      } else {
        body.textContent = text;
      }
      written = body.firstChild && { node: body.firstChild, text };
    };
    const change = (now) => {
      text = now;
      if (!planned) requestAnimationFrame(write);
      planned = true;
    };
    return { append: (piece) => change(text + piece), replace: change };
  }
}
