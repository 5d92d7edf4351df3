/** The sidebar: one's chats, newest first, to open, rename and delete. */

import * as api from "./api.js";
import { confirmed } from "./dialogs.js";
import { byId, h, iconButton } from "./dom.js";
import { keepDraft } from "./drafts.js";
import { showError } from "./notices.js";
import { personaName } from "./personas.js";

const DAY = 86_400_000;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export const titleOf = (chat) => chat.title || `Chat with ${personaName(chat.persona)}`;

/** The list; `onRenamed(chat)` and `onDeleted(id)` hear what was done in it. */
export class ChatList {
  #chats = [];
  #next = null;
  #openId = null;
  #renaming = null;

  constructor({ onRenamed, onDeleted }) {
    this.onRenamed = onRenamed;
    this.onDeleted = onDeleted;
    byId("chats-more").addEventListener("click", () => this.#loadMore());
  }

  async load() {
    const page = await api.chats();
    this.#chats = page.data;
    this.#next = page.next;
    this.#show();
  }

  /** Which chat is open now; null for none. */
  markOpen(id) {
    this.#openId = id;
    this.#show();
  }

  /** Take in a chat as it is now. */
  put(chat) {
    const position = this.#chats.findIndex(({ id }) => id === chat.id);
    const moved = position < 0 || this.#chats[position].updated_at !== chat.updated_at;
    if (moved) this.#chats = [chat, ...this.#chats.filter(({ id }) => id !== chat.id)];
    else this.#chats[position] = chat;
    this.#show();
  }

  /** Take out a chat that is gone. */
  drop(id) {
    this.#chats = this.#chats.filter((chat) => chat.id !== id);
    this.#show();
  }

  async #loadMore() {
    try {
      const page = await api.chats(this.#next);
      const known = new Set(this.#chats.map(({ id }) => id));
      this.#chats.push(...page.data.filter(({ id }) => !known.has(id)));
      this.#next = page.next;
      this.#show();
    } catch (error) {
      showError(error);
    }
  }

  #show() {
    // A redrawing would take the field away from under somebody's fingers.
    if (this.#renaming) return;
    const focused = byId("chats").contains(document.activeElement) ? document.activeElement.id : null;
    byId("chats").replaceChildren(...this.#chats.map((chat) => this.#row(chat)));
    if (focused) byId(focused)?.focus();
    byId("chats-empty").hidden = this.#chats.length > 0;
    byId("chats-more").hidden = this.#next === null;
  }

  #row(chat) {
    const title = titleOf(chat);
    const open = chat.id === this.#openId;
    const link = h(
      "a",
      { href: `#/chats/${chat.id}`, id: `chat-${chat.id}`, "aria-current": open && "page", class: "chat-link" },
      h("span", { class: "chat-title" }, title),
      h(
        "span",
        { class: "chat-about" },
        chat.running_turn && h("span", { class: "running-dot", role: "img", "aria-label": "A reply is being written" }),
        `${personaName(chat.persona)} · ${when(chat.updated_at)}`,
      ),
    );
    const row = h("li", { class: open ? "chat-row open" : "chat-row" }, link);
    if (!chat.read_only) {
      row.append(
        h(
          "span",
          { class: "chat-actions" },
          iconButton("pencil", `Rename “${title}”`, () => this.#rename(chat, row), { id: `rename-${chat.id}` }),
          chat.role === "owner" && iconButton("trash", `Delete “${title}”`, () => this.#delete(chat), { id: `delete-${chat.id}` }),
        ),
      );
    }
    return row;
  }

  #rename(chat, row) {
    const input = h("input", { "aria-label": "Title of the chat", value: titleOf(chat), maxlength: 200 });
    this.#renaming = input;
    const finish = async (keep) => {
      if (this.#renaming !== input) return;
      this.#renaming = null;
      const title = input.value.trim();
      if (keep && title && title !== titleOf(chat)) await this.#saveTitle(chat, title);
      this.#show();
      byId(`rename-${chat.id}`)?.focus();
    };
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.stopPropagation();
      finish(event.key === "Enter");
    });
    input.addEventListener("blur", () => finish(true));
    row.replaceChildren(input);
    input.focus();
    input.select();
  }

  async #saveTitle(chat, title) {
    try {
      const renamed = await api.renameChat(chat.id, title);
      this.#chats = this.#chats.map((other) => (other.id === chat.id ? renamed : other));
      this.onRenamed(renamed);
    } catch (error) {
      showError(error);
    }
  }

  async #delete(chat) {
    const yes = await confirmed({
      title: "Delete this chat?",
      text: `“${titleOf(chat)}” and all its messages will be gone for good.`,
      yes: "Delete",
    });
    if (!yes) return;
    try {
      await api.deleteChat(chat.id);
      keepDraft(chat.id, "");
      this.drop(chat.id);
      this.onDeleted(chat.id);
    } catch (error) {
      showError(error);
    }
  }
}

function when(iso) {
  const then = new Date(iso);
  const sameDay = Date.now() - then < DAY && then.getDate() === new Date().getDate();
  return (sameDay ? clock : calendar).format(then);
}
