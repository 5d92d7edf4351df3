/** Access tokens for programs of one's own: made with scopes and an end, shown once, revoked at once. */

import * as api from "../api.js";
import { copyButton } from "../copying.js";
import { confirmed } from "../dialogs.js";
import { h } from "../dom.js";
import { field, onSubmit, submitRow } from "../forms.js";
import { KeyedList } from "../keyed-list.js";
import { showError } from "../notices.js";
import { actionButton, day, entry, minute, section } from "./parts.js";

const LIFETIMES = [[7, "in a week"], [30, "in 30 days"], [90, "in 90 days"], [365, "in a year"]];
const USUAL_LIFETIME = 90;

export function tokensSection() {
  const list = h("ul", { class: "entries" });
  const rows = new KeyedList(list);
  const shown = h("div", { class: "once-place" });
  const load = async () => {
    const { data } = await api.tokens();
    rows.show(data.map((token) => ({ key: token.id, about: token, draw: () => row(token, load) })));
  };
  const making = h("details", { class: "making" }, h("summary", { class: "button" }, "New token"));
  const fill = async () => {
    const { data: scopes } = await api.scopes();
    const onMade = async (token) => {
      making.open = false;
      shown.replaceChildren(onceShown(token));
      shown.querySelector("button").focus();
      await load();
    };
    making.append(form(scopes, onMade));
  };
  Promise.all([load(), fill()]).catch(showError);
  return section("Access tokens", "For your programs: each may do what its scopes say, as you.", shown, list, making);
}

function row(token, load) {
  const revoke = async () => {
    const yes = await confirmed({
      title: "Revoke this token?",
      text: `The program that uses “${token.name}” is shut out at once.`,
      yes: "Revoke",
    });
    if (!yes) return;
    await api.revokeToken(token.id);
    await load();
  };
  const used = token.last_seen_at ? `last used ${minute(token.last_seen_at)}` : "never used";
  const ends = new Date(token.expires_at) < new Date() ? "expired" : "expires";
  return entry(
    [token.name, h("code", {}, `${token.display}…`)],
    [token.scopes.join(", "), `Made ${day(token.created_at)}, ${used}, ${ends} ${day(token.expires_at)}`],
    actionButton("Revoke", token.name, revoke),
  );
}

function form(scopes, onMade) {
  const lifetimes = LIFETIMES.map(([days, words]) => h("option", { value: days, selected: days === USUAL_LIFETIME }, words));
  const element = h(
    "form",
    {},
    field("Name", h("input", { name: "name", maxlength: 80, required: true, autocomplete: "off" }), "What the program is called, so that you know it again."),
    field("Expires", h("select", { name: "expires_in_days" }, ...lifetimes)),
    h(
      "fieldset",
      { class: "field scopes" },
      h("legend", {}, "Scopes"),
      ...scopes.map(({ scope, allows }) =>
        h("label", {}, h("input", { type: "checkbox", name: "scopes", value: scope }), h("code", {}, scope), h("span", {}, allows)),
      ),
      h("p", { class: "field-error", role: "alert", hidden: true }),
    ),
    submitRow("Make the token"),
  );
  onSubmit(element, async (data) => {
    const chosen = data.getAll("scopes");
    if (chosen.length === 0) throw new api.Problem({ errors: [{ pointer: "/scopes", message: "Choose what the token may do." }] });
    await onMade(await api.createToken({ name: data.get("name"), scopes: chosen, expires_in_days: Number(data.get("expires_in_days")) }));
    element.reset();
  });
  return element;
}

function onceShown({ name, token }) {
  const sentence = `Copy the token of “${name}” now: it is not shown again.`;
  const copy = copyButton(token);
  copy.className = "button primary";
  copy.append("Copy");
  const element = h(
    "div",
    { class: "banner once", role: "group", "aria-label": sentence },
    h("p", {}, sentence),
    h("code", {}, token),
    h(
      "div",
      { class: "submit-row" },
      copy,
      actionButton("Done", "", () => element.remove()),
    ),
  );
  return element;
}
