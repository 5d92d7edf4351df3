/** Who speaks in a chat, by the name they go by. */

import * as api from "./api.js";

const FORMER = "A former member";

/** The people of one chat; a message without a sender is from somebody whose account is gone. */
export class Members {
  #names = new Map([[null, FORMER]]);

  /** Learn the names behind these messages; the gateway is asked only for people not met before. */
  async meet(chatId, me, messages, signal) {
    const isStranger = ({ role, sender_id: id }) => role === "user" && id !== me.id && !this.#names.has(id);
    const strangers = messages.filter(isStranger);
    if (strangers.length === 0) return;
    const { data } = await api.members(chatId, signal);
    for (const { sender_id: id } of strangers) this.#names.set(id, FORMER);
    for (const { user_id: id, display_name: name } of data) this.#names.set(id, name);
  }

  nameOf(userId) {
    return this.#names.get(userId);
  }
}
