/** What the account page is made of: sections, and lists of things with what can be done about each. */

import { h } from "../dom.js";
import { showError } from "../notices.js";

const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
let made = 0;

export const day = (iso) => calendar.format(new Date(iso));
export const minute = (iso) => clock.format(new Date(iso));

export function section(title, lead, ...content) {
  const id = `section-${++made}`;
  return h(
    "section",
    { class: "account-section", "aria-labelledby": id },
    h("h2", { id, tabindex: -1 }, title),
    h("p", { class: "muted" }, lead),
    ...content,
  );
}

/** One thing in a list: its title, lines about it, and its controls. */
export const entry = (title, lines, ...controls) =>
  h(
    "li",
    { class: "entry" },
    h("div", { class: "entry-text" }, h("p", { class: "entry-title" }, ...title.filter(Boolean)), ...lines.map((line) => h("p", { class: "muted" }, line))),
    h("div", { class: "entry-controls" }, ...controls),
  );

export const mark = (text) => h("span", { class: "tag" }, text);

/** A button that does something once at a time. `about` is what it is done to, for those who do not see where it stands. */
export function actionButton(label, about, work) {
  const button = h("button", { type: "button", class: "button", "aria-label": about ? `${label}: ${about}` : null }, label);
  button.addEventListener("click", async () => {
    const home = button.closest(".account-section");
    button.disabled = true;
    try {
      await work();
    } catch (error) {
      showError(error);
    } finally {
      button.disabled = false;
      // What the button stood beside may be gone by now, and the focus with it.
      if (!button.isConnected) home.querySelector("h2").focus({ preventScroll: true });
    }
  });
  return button;
}
