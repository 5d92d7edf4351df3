/** The messages on the page, and a reply as it arrives. */

import { KeyedList } from "./keyed-list.js";
import { editorElement, messageElement } from "./message.js";

export class Transcript {
  #list;
  #drawn;
  #describe;
  #actions;

  /** `describe(message)` says who spoke; `actions` is what the buttons of a message do. */
  constructor(list, describe, actions) {
    this.#list = list;
    this.#drawn = new KeyedList(list);
    this.#describe = describe;
    this.#actions = { ...actions, edit: (message) => this.openEditor(message, message.content) };
  }

  show(messages) {
    this.#drawn.show(
      messages.map((message) => {
        const about = this.#describe(message);
        return { key: message.id, about: [message, about], draw: () => messageElement(message, about, this.#actions) };
      }),
    );
  }

  elementOf(id) {
    return this.#drawn.elementOf(id);
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
