/** A button that puts a text on the clipboard, and says that it did. */

import { h, icon, iconButton } from "./dom.js";
import { announce } from "./notices.js";

const COPIED_FOR = 1_600;

export function copyButton(text) {
  const button = iconButton("copy", "Copy", async () => {
    if (!(await copied(text))) return;
    button.firstChild.replaceWith(icon("check"));
    announce("Copied.");
    setTimeout(() => button.firstChild.replaceWith(icon("copy")), COPIED_FOR);
  });
  return button;
}

async function copied(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  // Over plain http away from loopback there is no clipboard but the old one.
  const area = h("textarea", { class: "visually-hidden" });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
