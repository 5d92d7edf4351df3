/** Forms: labelled fields with a place for what is wrong with them, and the gateway's own sentences in it. */

import { h } from "./dom.js";
import { showError } from "./notices.js";

let made = 0;

/** A field around a control that has a name, with a hint if there is one. */
export function field(label, control, hint = "") {
  control.id = `field-${++made}`;
  control.setAttribute("aria-describedby", `${control.id}-hint ${control.id}-error`);
  return h(
    "div",
    { class: "field" },
    h("label", { for: control.id }, label),
    control,
    hint && h("p", { class: "field-hint", id: `${control.id}-hint` }, hint),
    h("p", { class: "field-error", id: `${control.id}-error`, hidden: true }),
  );
}

/** What a form ends with: the button that sends it, and a place for what came of it. */
export const submitRow = (label) =>
  h("div", { class: "submit-row" }, h("button", { type: "submit", class: "button" }, label), h("p", { class: "muted", role: "status" }));

/** Have a form do `work(data)` when it is sent, once at a time; the sentence that comes of it is shown at its end. */
export function onSubmit(form, work) {
  const button = form.querySelector("[type=submit]");
  const outcome = form.querySelector("[role=status]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    outcome.textContent = "";
    showFieldErrors(form, []);
    try {
      outcome.textContent = (await work(new FormData(form))) ?? "";
    } catch (problem) {
      const errors = problem.errors ?? [];
      if (showFieldErrors(form, errors) || errors.length === 0) showError(problem);
      form.querySelector("[aria-invalid]")?.focus();
    } finally {
      button.disabled = false;
    }
  });
}

/** Put each sentence under the field that its pointer names; whether one had no field to go to. */
export function showFieldErrors(form, errors) {
  for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
  for (const place of form.querySelectorAll(".field-error")) {
    place.textContent = "";
    place.hidden = true;
  }
  let unplaced = false;
  for (const { pointer = "", message } of errors) {
    const control = form.querySelector(`[name="${CSS.escape(pointer.split("/")[1] ?? "")}"]`);
    const place = control?.closest(".field").querySelector(".field-error");
    if (!place) {
      unplaced = true;
      continue;
    }
    control.setAttribute("aria-invalid", "true");
    place.textContent = message;
    place.hidden = false;
  }
  return unplaced;
}
