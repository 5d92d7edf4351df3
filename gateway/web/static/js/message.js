/** One message as an element: who, what, how it ended, and what can be done with it. */

import { copyButton } from "./copying.js";
import { h, icon, iconButton, monogram } from "./dom.js";
import { stepper } from "./stepper.js";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

const ENDINGS = {
  stopped: "Stopped before the end.",
  truncated: "The model broke off; this is what arrived.",
  filtered: "The model's provider cut this reply short.",
  failed: "No reply could be made.",
  interrupted: "The gateway stopped while this was being written.",
};

/** `about` says `{name, mark, mine, readOnly}`, where `mark` gives the speaker's colour; `actions` is what the buttons do. */
export function messageElement(message, about, actions) {
  const reply = message.role === "assistant";
  const from = reply ? "reply" : about.mine ? "said" : "said by-another";
  return h(
    "li",
    { class: `message ${from}`, "data-id": message.id, "data-state": message.state },
    reply || !about.mine ? head(message, about, reply) : h("span", { class: "visually-hidden" }, about.name),
    body(message, reply),
    ending(message, about, actions),
    message.state === "running" ? null : buttons(message, about, actions, reply),
  );
}

function head(message, about, reply) {
  return h(
    "div",
    { class: "message-head" },
    monogram(about.mark, about.name),
    h("span", { class: "message-name" }, about.name),
    time(message),
    reply && message.model && h("span", { class: "message-model", title: "The model that answered" }, message.model),
  );
}

function time(message) {
  const sent = message.sent_at ? new Date(message.sent_at) : new Date();
  return h("time", { datetime: sent.toISOString(), title: moment.format(sent) }, clock.format(sent));
}

function body(message, reply) {
  if (!reply || message.html === undefined) return h("div", { class: "message-body plain" }, message.content);
  const element = h("div", { class: "message-body prose" });
  // The only HTML this page takes in: the gateway made it from the reply's Markdown and sanitised it.
  element.innerHTML = message.html;
  return element;
}

function ending(message, about, { retry }) {
  const sentence = message.error?.message || ENDINGS[message.state];
  if (!sentence) return null;
  if (!isFailure(message)) return h("p", { class: "message-ending" }, sentence);
  return h(
    "div",
    { class: "message-ending bad" },
    h("p", {}, sentence),
    !about.readOnly && h("button", { type: "button", class: "button at-rest", onclick: () => retry(message) }, icon("retry"), "Retry"),
  );
}

const isFailure = ({ state }) => state === "failed" || state === "interrupted";

function buttons(message, about, actions, reply) {
  const { retry, edit, inspect, switchTo } = actions;
  const mayWrite = !about.readOnly;
  return h(
    "div",
    { class: "message-actions" },
    siblings(message, mayWrite ? switchTo : null),
    message.content && copyButton(message.content),
    reply && mayWrite && message.turn_id && !isFailure(message) && iconButton("retry", "Retry", () => retry(message), { class: "icon-button at-rest" }),
    !reply && mayWrite && about.mine && iconButton("pencil", "Edit", () => edit(message), { class: "icon-button at-rest" }),
    reply && message.turn_id && iconButton("context", "Show the context of this reply", () => inspect(message)),
    about.mine && time(message),
  );
}

function siblings(message, switchTo) {
  const ids = message.siblings ?? [];
  if (ids.length < 2) return null;
  const onStep = switchTo && ((position, step) => switchTo(message, ids[position], step));
  return stepper("version", ids.indexOf(message.id), ids.length, onStep, "at-rest");
}

/** A form in a message's place to say it otherwise; Escape leaves it as it was. */
export function editorElement(text, { onSave, onCancel }) {
  const area = h("textarea", { "aria-label": "Edit the message", rows: 3 });
  area.value = text;
  const form = h(
    "form",
    { class: "message-editor" },
    area,
    h(
      "div",
      { class: "message-editor-buttons" },
      h("button", { type: "button", class: "button", onclick: onCancel }, "Cancel"),
      h("button", { type: "submit", class: "button primary" }, "Send again"),
    ),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (area.value.trim()) onSave(area.value);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      onCancel();
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target === area) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  return form;
}
