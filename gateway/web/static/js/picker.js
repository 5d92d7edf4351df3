/** Choosing whom to talk to: a card for each persona, which starts a chat. */

import * as api from "./api.js";
import { byId, h, hasKeyboard, monogram } from "./dom.js";
import { showError } from "./notices.js";
import { loadPersonas, watchLoading } from "./personas.js";

let giveUp = () => {};

/** Show the cards; `onStarted(chat)` hears which chat was made. */
export async function showPicker(onStarted) {
  byId("picker").hidden = false;
  if (hasKeyboard()) byId("picker-title").focus({ preventScroll: true });
  try {
    const personas = await loadPersonas();
    if (byId("picker").hidden) return;
    showCards(personas, onStarted);
    giveUp();
    giveUp = watchLoading(personas.map(({ id }) => id), (news) => showCards(news, onStarted));
  } catch (error) {
    showError(error);
  }
}

export function hidePicker() {
  giveUp();
  byId("picker").hidden = true;
}

function showCards(personas, onStarted) {
  const list = byId("personas");
  if (personas.length === 0) {
    list.replaceChildren(
      h("li", { class: "muted" }, "There is no persona for you yet. Whoever runs this gateway writes them in personas.yaml, and says there who may talk to them."),
    );
    return;
  }
  const focused = document.activeElement?.dataset?.persona;
  list.replaceChildren(...personas.map((persona) => h("li", {}, card(persona, onStarted))));
  if (focused) list.querySelector(`[data-persona="${CSS.escape(focused)}"]`)?.focus();
}

function card(persona, onStarted) {
  const { readiness, sentence } = persona.availability ?? { readiness: "ready", sentence: "" };
  const usable = readiness === "ready" || readiness === "loading";
  const button = h(
    "button",
    { type: "button", class: "persona", "data-persona": persona.id, "data-readiness": readiness, disabled: !usable },
    h("span", { class: "persona-head" }, monogram(persona.id, persona.name), h("span", { class: "persona-name" }, persona.name)),
    persona.description && h("span", { class: "persona-description" }, persona.description),
    persona.greetings?.[0] && h("q", { class: "persona-greeting" }, persona.greetings[0]),
    readiness !== "ready" && h("span", { class: "persona-availability" }, sentence),
    persona.tags?.length > 0 && h("span", { class: "tags" }, ...persona.tags.map((tag) => h("span", { class: "tag" }, tag))),
  );
  button.addEventListener("click", () => start(persona.id, button, onStarted));
  return button;
}

async function start(personaId, button, onStarted) {
  button.disabled = true;
  try {
    onStarted(await api.createChat(personaId));
  } catch (error) {
    showError(error);
  } finally {
    button.disabled = false;
  }
}
