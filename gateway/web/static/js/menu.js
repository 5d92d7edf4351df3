/** Menus of what can be done with one thing in a list: a single element, shown beside the button that asks for it. */

import { byId, h, icon, iconButton } from "./dom.js";

const ITEM_HEIGHT = 48;
const GAP = 4;

let opener = null;

/** A button that opens a menu of these `{icon, label, act}`; the label says what they are about. */
export function menuButton(label, items, attributes = {}) {
  const button = iconButton("more", label, () => prepare(button, items), {
    popovertarget: "menu",
    "aria-haspopup": "menu",
    ...attributes,
  });
  return button;
}

/** Wire the menu up once. */
export function setUpMenu() {
  byId("menu").addEventListener("keydown", onKey);
  byId("menu").addEventListener("toggle", ({ newState }) => {
    opener.setAttribute("aria-expanded", newState === "open");
    if (newState === "open") byId("menu").firstChild.focus();
  });
}

/** Fill and place the menu; the browser shows it after the click, because the button is its invoker. */
function prepare(button, items) {
  const menu = byId("menu");
  opener = button;
  menu.setAttribute("aria-label", button.getAttribute("aria-label"));
  menu.replaceChildren(...items.map(item));
  const { top, bottom, right } = button.getBoundingClientRect();
  const fitsBelow = bottom + items.length * ITEM_HEIGHT < window.innerHeight;
  menu.style.right = `${document.documentElement.clientWidth - right}px`;
  menu.style.top = fitsBelow ? `${bottom + GAP}px` : "auto";
  menu.style.bottom = fitsBelow ? "auto" : `${window.innerHeight - top + GAP}px`;
}

function item({ icon: name, label, act }) {
  const choose = () => {
    byId("menu").hidePopover();
    act();
  };
  return h("button", { type: "button", role: "menuitem", tabindex: -1, class: "menu-item", onclick: choose }, icon(name), label);
}

function onKey(event) {
  const items = [...byId("menu").children];
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
  // The browser closes it on Escape, which shall not stop a reply or close the drawer as well.
  if (event.key === "Escape") event.stopPropagation();
  else if (event.key === "Tab") byId("menu").hidePopover();
  else if (to !== undefined) {
    event.preventDefault();
    items.at(to % items.length).focus();
  }
}
