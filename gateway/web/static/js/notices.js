/** What the page says on its own account: sentences to see, and words for those who listen. */

import { byId, h, iconButton } from "./dom.js";
import { gatewayReturned } from "./outage.js";

/** Show a sentence above the conversation until it is dismissed or the next one comes; its banner. */
export function showNotice(sentence) {
  const close = iconButton("close", "Dismiss", clearNotices);
  const banner = h("div", { class: "banner warning" }, h("span", {}, sentence), close);
  byId("notices").replaceChildren(banner);
  return banner;
}

export function clearNotices() {
  byId("notices").replaceChildren();
}

/** Show why something failed, unless it was only left; that the gateway is away, until it is back. */
export function showError(error) {
  if (error.name === "AbortError" || error.status === 401) return;
  const banner = showNotice(error.message);
  if (error.code === "unreachable") gatewayReturned().then(() => banner.remove());
}

/** Say a sentence to a screen reader; the same one twice is said twice. */
export function announce(sentence) {
  const announcer = byId("announcer");
  announcer.textContent = "";
  requestAnimationFrame(() => (announcer.textContent = sentence));
}
