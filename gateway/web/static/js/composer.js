/** The message box: Enter sends, Shift+Enter starts a new line, and what is typed survives a reload. */

import { byId, hasKeyboard } from "./dom.js";
import { draftOf, keepDraft } from "./drafts.js";
import { mayWrite } from "./rights.js";

export class Composer {
  #area = byId("composer-text");
  #chatId = null;

  constructor({ onSend, onStop }) {
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#area.value.trim() && !this.#running) onSend(this.#take());
    });
    byId("composer-stop").addEventListener("click", onStop);
    this.#area.addEventListener("keydown", (event) => {
      // While an input method composes a character, Enter chooses it.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      byId("composer").requestSubmit();
    });
    this.#area.addEventListener("input", () => this.#changed());
  }

  get #running() {
    return !byId("composer-stop").hidden;
  }

  /** Take nothing until it is known which chat it is for. */
  close() {
    this.#chatId = null;
    this.#area.value = "";
    this.#area.disabled = true;
  }

  /** Show the draft of this chat. */
  use(chat, name) {
    this.#chatId = chat.id;
    const open = mayWrite(chat);
    this.#area.placeholder = open ? `Write to ${name}` : "You can read this chat, but not continue it.";
    this.#area.disabled = !open;
    byId("composer-send").disabled = !open;
    byId("composer-hint").hidden = !open || !hasKeyboard();
    this.#write(draftOf(chat.id));
    this.setRunning(false);
    this.focus();
  }

  /** Give back a text that could not be sent to this chat, unless something new was typed there meanwhile. */
  restore(chatId, text) {
    if (draftOf(chatId).trim()) return;
    keepDraft(chatId, text);
    if (chatId === this.#chatId) this.#write(text);
    this.focus();
  }

  setRunning(running) {
    const hadFocus = document.activeElement?.closest("#composer button");
    byId("composer-send").hidden = running;
    byId("composer-stop").hidden = !running;
    if (hadFocus) this.#area.focus();
  }

  focus() {
    // Whoever writes or chooses something elsewhere meanwhile is not called away.
    const busy = document.activeElement?.closest("input, textarea, dialog, [popover]");
    if (hasKeyboard() && !busy) this.#area.focus({ preventScroll: true });
  }

  #take() {
    const text = this.#area.value;
    this.#write("");
    return text;
  }

  #write(text) {
    this.#area.value = text;
    this.#changed();
  }

  #changed() {
    keepDraft(this.#chatId, this.#area.value);
    byId("composer-field").dataset.text = this.#area.value;
  }
}
