/** Choosing whom to talk to: a card for each persona, which starts a chat. */

import * as api from "./api.js";
import { byId, h, hasKeyboard, monogram } from "./dom.js";
import { KeyedList } from "./keyed-list.js";
import { announce, showError } from "./notices.js";
import { loadPersonas, watchLoading } from "./personas.js";
import { focusStep, stepper } from "./stepper.js";

const cards = new KeyedList(byId("personas"));
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
  const none = {
    key: "none",
    about: "none",
    draw: () =>
      h("li", { class: "muted" }, "There is no persona for you yet. Whoever runs this gateway writes them in personas.yaml, and says there who may talk to them."),
  };
  const items = personas.map((persona) => ({ key: persona.id, about: persona, draw: () => card(persona, onStarted) }));
  cards.show(items.length ? items : [none]);
}

/** The name is the button, and reaches over the whole card. */
function card(persona, onStarted) {
  const { id, name, description, greetings, tags } = persona;
  const { readiness, sentence } = persona.availability;
  const usable = readiness === "ready" || readiness === "loading";
  let chosen = 0;
  const start = h("button", { type: "button", class: "persona-name", disabled: !usable, "aria-describedby": `about-${id}` }, name);
  start.addEventListener("click", () => begin(id, greetings.length ? chosen : null, start, onStarted));
  const greeting = h("q", { class: "persona-greeting" });
  const choice = h("div", { class: "greeting-choice" });
  const choose = (position, step) => {
    chosen = position;
    greeting.textContent = greetings[position];
    choice.replaceChildren("Begins with", stepper("greeting", position, greetings.length, choose));
    if (!step) return;
    focusStep(choice, step);
    announce(greetings[position]);
  };
  if (greetings.length) choose(0);
  return h(
    "li",
    { class: usable ? "persona" : "persona unusable" },
    h("div", { class: "persona-head" }, monogram(id, name), start),
    h("p", { class: "persona-description", id: `about-${id}` }, description),
    greetings.length > 1 && choice,
    greetings.length > 0 && greeting,
    readiness !== "ready" && h("p", { class: "persona-availability" }, sentence),
    tags.length > 0 && h("p", { class: "tags" }, ...tags.map((tag) => h("span", { class: "tag" }, tag))),
  );
}

async function begin(personaId, greeting, button, onStarted) {
  button.disabled = true;
  try {
    onStarted(await api.createChat(personaId, greeting));
  } catch (error) {
    showError(error);
  } finally {
    button.disabled = false;
  }
}
