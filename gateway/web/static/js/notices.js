/** What the page says on its own account: sentences to see, and words for those who listen. */

import { byId, h, iconButton } from "./dom.js";

/** Show a sentence above the conversation until it is dismissed or the next one comes. */
export function showNotice(sentence) {
  const close = iconButton("close", "Dismiss", clearNotices);
  byId("notices").replaceChildren(h("div", { class: "banner warning" }, h("span", {}, sentence), close));
}

export function clearNotices() {
  byId("notices").replaceChildren();
}

/** Show why something failed, unless it was only left. */
export function showError(error) {
  if (error.name === "AbortError" || error.status === 401) return;
  showNotice(error.message);
}

/** Say a sentence to a screen reader; the same one twice is said twice. */
export function announce(sentence) {
  const announcer = byId("announcer");
  announcer.textContent = "";
  requestAnimationFrame(() => (announcer.textContent = sentence));
}
