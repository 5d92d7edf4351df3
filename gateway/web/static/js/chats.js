/** The sidebar: one's chats, the latest used first, to open, rename and delete. */

import * as api from "./api.js";
import { confirmed } from "./dialogs.js";
import { byId, h } from "./dom.js";
import { keepDraft } from "./drafts.js";
import { KeyedList } from "./keyed-list.js";
import { menuButton } from "./menu.js";
import { showError } from "./notices.js";
import { personaName } from "./personas.js";
import { mayDelete, mayRename } from "./rights.js";

const DAY = 86_400_000;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export const titleOf = (chat) => chat.title || `Chat with ${personaName(chat.persona)}`;

/** The list; `onRenamed(chat)` and `onDeleted(id)` hear what was done in it. */
export class ChatList {
  #rows = new KeyedList(byId("chats"));
  #chats = [];
  #next = null;
  #openId = null;
  #renaming = null;

  constructor({ onRenamed, onDeleted }) {
    this.onRenamed = onRenamed;
    this.onDeleted = onDeleted;
    byId("chats-more").addEventListener("click", () => this.#loadMore());
  }

  /** Begin anew, for whoever has just signed in. */
  async load() {
    this.#chats = [];
    await this.refresh();
  }

  /** Take in what has happened elsewhere; older chats that were asked for stay. */
  async refresh() {
    const page = await api.chats();
    const newest = new Set(page.data.map(({ id }) => id));
    const isOlder = (chat) => !newest.has(chat.id) && lastUse(chat) < lastUse(page.data.at(-1));
    const older = page.next === null ? [] : this.#chats.filter(isOlder);
    this.#chats = [...page.data, ...older];
    if (older.length === 0) this.#next = page.next;
    this.#show();
  }

  /** Which chat is open now; null for none. */
  markOpen(id) {
    this.#openId = id;
    this.#show();
  }

  /** Take in a chat as it is now, in its place: the latest used first. */
  put(chat) {
    this.#chats = [chat, ...this.#chats.filter(({ id }) => id !== chat.id)].sort((a, b) => lastUse(b) - lastUse(a));
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
    const focused = byId("chats").contains(document.activeElement) ? document.activeElement.id : null;
    this.#rows.show(
      this.#chats.map((chat) => {
        if (chat.id === this.#renaming) return { key: chat.id, about: "renaming", draw: () => this.#titleField(chat) };
        const about = [chat, titleOf(chat), when(chat.updated_at), chat.id === this.#openId];
        return { key: chat.id, about, draw: () => this.#row(chat) };
      }),
    );
    if (focused) byId(focused)?.focus();
    byId("chats-empty").hidden = this.#chats.length > 0;
    byId("chats-more").hidden = this.#next === null;
  }

  #row(chat) {
    const title = titleOf(chat);
    const open = chat.id === this.#openId;
    const actions = [
      mayRename(chat) && { icon: "pencil", label: "Rename", act: () => this.#rename(chat) },
      mayDelete(chat) && { icon: "trash", label: "Delete", act: () => this.#delete(chat) },
    ].filter(Boolean);
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
    return h(
      "li",
      { class: open ? "chat-row open" : "chat-row" },
      link,
      actions.length > 0 && menuButton(`Actions for “${title}”`, actions, { id: `menu-${chat.id}` }),
    );
  }

  #rename(chat) {
    this.#renaming = chat.id;
    this.#show();
    byId("chat-title-field").focus();
    byId("chat-title-field").select();
  }

  #titleField(chat) {
    const input = h("input", { id: "chat-title-field", "aria-label": "Title of the chat", value: titleOf(chat), maxlength: 200 });
    const finish = async (keep) => {
      if (this.#renaming !== chat.id) return;
      this.#renaming = null;
      const title = input.value.trim();
      if (keep && title && title !== titleOf(chat)) await this.#saveTitle(chat, title);
      this.#show();
    };
    input.addEventListener("keydown", async (event) => {
      // While an input method composes a character, Enter chooses it.
      if ((event.key !== "Enter" && event.key !== "Escape") || event.isComposing) return;
      event.stopPropagation();
      await finish(event.key === "Enter");
      byId(`menu-${chat.id}`)?.focus();
    });
    input.addEventListener("blur", () => finish(true));
    return h("li", { class: "chat-row" }, input);
  }

  async #saveTitle(chat, title) {
    try {
      const renamed = await api.renameChat(chat.id, title);
      this.put(renamed);
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
      byId("new-chat").focus();
      this.onDeleted(chat.id);
    } catch (error) {
      showError(error);
    }
  }
}

const lastUse = (chat) => Date.parse(chat.updated_at);

function when(iso) {
  const then = new Date(iso);
  const sameDay = Date.now() - then < DAY && then.getDate() === new Date().getDate();
  return (sameDay ? clock : calendar).format(then);
}
