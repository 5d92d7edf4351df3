/** Going through versions of something, one at a time: previous, where one is, next. */

import { h, iconButton } from "./dom.js";

/** `what` names the versions; `onStep(position, step)` hears which is wanted, null where none can be. */
export function stepper(what, position, count, onStep, className = "") {
  const button = (step, label, to) =>
    iconButton(step, `${label} ${what}`, () => onStep(to, step), {
      disabled: !onStep || to < 0 || to >= count,
      class: `icon-button ${className}`,
      "data-step": step,
    });
  return h(
    "span",
    { class: "stepper", role: "group", "aria-label": `${what} ${position + 1} of ${count}` },
    button("previous", "Previous", position - 1),
    h("span", { "aria-hidden": "true" }, `${position + 1}/${count}`),
    button("next", "Next", position + 1),
  );
}

/** After a step, the focus is on the same button of what is shown now, or on the other one at either end. */
export function focusStep(element, step) {
  const buttons = [...(element?.querySelectorAll(".stepper button:not(:disabled)") ?? [])];
  (buttons.find((button) => button.dataset.step === step) ?? buttons[0])?.focus({ preventScroll: true });
}
