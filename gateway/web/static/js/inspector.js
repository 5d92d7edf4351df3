/** The panel that explains a Context: of a reply's turn, or of the chat's next one with its session data. */

import * as api from "./api.js";
import { byId } from "./dom.js";
import { manifestElements } from "./manifest.js";
import { announce, showError } from "./notices.js";
import { mayWrite } from "./rights.js";

export class Inspector {
  #chat = null;
  #turnId = null;
  #savedText = "";
  #showsData = false;
  #opener = null;

  constructor() {
    byId("inspector-toggle").addEventListener("click", () => (this.isOpen ? this.close() : this.show(null)));
    byId("inspector-close").addEventListener("click", () => this.close());
    byId("inspector-next").addEventListener("click", () => this.show(null));
    byId("session-data").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    byId("session-data-text").addEventListener("input", () => this.#offerSaving());
  }

  get isOpen() {
    return !byId("inspector").hidden;
  }

  /** Follow the open chat; an open panel tells of its next turn. */
  async use(chat) {
    const another = chat?.id !== this.#chat?.id;
    if (another) this.#showsData = false;
    this.#chat = chat;
    byId("inspector-toggle").hidden = chat === null;
    if (chat === null) this.close();
    else if (this.isOpen && (another || this.#turnId === null)) await this.#load(another ? null : this.#turnId);
  }

  /** Show the context of a turn; null for the chat's next one. */
  async show(turnId) {
    if (!this.isOpen) this.#opener = document.activeElement;
    byId("inspector").hidden = false;
    byId("inspector-toggle").setAttribute("aria-expanded", "true");
    byId("inspector-title").focus({ preventScroll: true });
    await this.#load(turnId);
  }

  /** Close the panel and give the focus back; whether it was open. */
  close() {
    if (!this.isOpen) return false;
    const hadFocus = byId("inspector").contains(document.activeElement);
    byId("inspector").hidden = true;
    byId("inspector-toggle").setAttribute("aria-expanded", "false");
    if (hadFocus) (this.#opener?.isConnected ? this.#opener : byId("inspector-toggle")).focus();
    return true;
  }

  async #load(turnId) {
    this.#turnId = turnId;
    const ofTurn = turnId !== null;
    byId("inspector-title").textContent = ofTurn ? "Context of this reply" : "Context of the next reply";
    byId("inspector-lead").textContent = ofTurn
      ? "What the model was sent for this reply, and what did not fit."
      : "What the model will be sent with the next message.";
    byId("inspector-next").hidden = !ofTurn;
    byId("session-data").hidden = ofTurn || !mayWrite(this.#chat);
    try {
      const answer = ofTurn ? await api.turnContext(turnId) : await api.nextContext(this.#chat.id);
      if (this.#turnId !== turnId) return;
      const manifest = ofTurn ? answer : answer.next;
      byId("manifest").replaceChildren(...(manifest ? manifestElements(manifest, ofTurn) : ["Nothing can be sent at the moment: no model can be asked."]));
      if (!ofTurn) this.#showData(answer.data);
    } catch (error) {
      byId("manifest").replaceChildren(error.message);
    }
  }

  #showData(data) {
    // What somebody has typed and not saved is not overwritten when the chat is read again.
    const isUnsaved = byId("session-data-text").value !== this.#savedText;
    if (isUnsaved && this.#showsData) return;
    this.#showsData = true;
    this.#savedText = asText(data);
    byId("session-data-text").value = this.#savedText;
    this.#offerSaving();
  }

  #offerSaving() {
    byId("session-data-save").disabled = byId("session-data-text").value === this.#savedText;
    byId("session-data-error").hidden = true;
  }

  async #save() {
    const text = byId("session-data-text").value;
    try {
      await api.saveSessionData(this.#chat.id, asData(text));
      this.#savedText = text;
      this.#offerSaving();
      announce("Session data saved.");
      await this.#load(null);
    } catch (error) {
      if (error.status === undefined) return showError(error);
      byId("session-data-error").textContent = error.message;
      byId("session-data-error").hidden = false;
    }
  }
}

/** The text of the editor; no data at all is an empty object. */
function asText(data) {
  if (typeof data === "string") return data;
  return Object.keys(data).length ? JSON.stringify(data, null, 2) : "";
}

/** A JSON object if the text is one, else the text. */
function asData(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : text;
  } catch {
    return text;
  }
}
