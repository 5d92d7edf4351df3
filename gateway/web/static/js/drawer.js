/** The sidebar on a narrow screen: a drawer over the page, which takes the focus and gives it back. */

import { byId } from "./dom.js";

const narrow = window.matchMedia("(max-width: 48rem)");
const isOpen = () => document.body.classList.contains("drawer-open");

function show(open) {
  document.body.classList.toggle("drawer-open", open);
  byId("drawer-open").setAttribute("aria-expanded", open);
  byId("drawer-shade").hidden = !open;
  byId("main").inert = open;
  // Out of sight, the list is out of the order of the Tab key too.
  byId("sidebar").inert = narrow.matches && !open;
}

/** Close the drawer; whether it was open. */
export function closeDrawer() {
  if (!isOpen()) return false;
  show(false);
  byId("drawer-open").focus();
  return true;
}

export function setUpDrawer() {
  byId("drawer-open").addEventListener("click", () => {
    show(true);
    byId("drawer-close").focus();
  });
  byId("drawer-close").addEventListener("click", closeDrawer);
  byId("drawer-shade").addEventListener("click", closeDrawer);
  narrow.addEventListener("change", () => show(false));
  show(false);
}
