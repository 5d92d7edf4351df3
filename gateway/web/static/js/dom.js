/** Elements, without a template language. Text always enters as text nodes: nothing here parses HTML. */

/** An element: `h("button", {class: "link", onclick: f, disabled: true}, "Save")`; null children are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
}

/** The element of the page with this id. */
export const byId = (id) => document.getElementById(id);

const SVG = "http://www.w3.org/2000/svg";

/** One of the drawings at the top of `index.html`. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** A button that is only a drawing; the label is read aloud and shown on hover. */
export const iconButton = (name, label, onclick, attributes = {}) =>
  h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...attributes }, icon(name));

/** A persona's first letter on a colour of its own, the same everywhere. */
export function monogram(id, name) {
  const mark = h("span", { class: "monogram", "aria-hidden": "true" }, Array.from(name.trim() || "?")[0].toUpperCase());
  let hash = 0;
  for (const character of id) hash = (hash * 31 + character.codePointAt(0)) % 360;
  mark.style.setProperty("--hue", hash);
  return mark;
}

/** Whether the reader has a pointer that hovers, so that moving the focus does not raise an on-screen keyboard. */
export const hasKeyboard = () => window.matchMedia("(hover: hover)").matches;
