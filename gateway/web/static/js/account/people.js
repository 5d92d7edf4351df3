/** Everybody here, for admins: who may do what, and who is shut out. */

import * as api from "../api.js";
import { confirmed } from "../dialogs.js";
import { h } from "../dom.js";
import { KeyedList } from "../keyed-list.js";
import { announce, showError } from "../notices.js";
import { actionButton, entry, mark, section } from "./parts.js";

const ROLES = ["member", "moderator", "admin"];
const MAKE_ADMIN = { title: "Make them an admin?", yes: "Make admin" };

export function peopleSection(me) {
  const list = h("ul", { class: "entries" });
  const rows = new KeyedList(list);
  let people = [];
  let next = null;
  const show = () => {
    // A role is changed in place, so that its field keeps the focus.
    rows.show(people.map((person) => ({ key: person.id, about: person.disabled, draw: () => row(person, person.id === me.id, take) })));
    more.hidden = next === null;
  };
  const take = (changed) => {
    people = people.map((person) => (person.id === changed.id ? changed : person));
    show();
  };
  const load = async () => {
    const page = await api.people(next);
    people.push(...page.data);
    next = page.next;
    show();
  };
  const more = actionButton("Show more people", "", load);
  load().catch(showError);
  return section("People", "Everybody with an account here. Only admins see this.", list, more);
}

function row(person, isMe, onChanged) {
  const { id, username, display_name: name, disabled } = person;
  let { role } = person;
  const title = [name, isMe && mark("you"), disabled && mark("disabled")];
  if (isMe) return entry(title, [`${username}, ${role}`]);
  const roles = h("select", { "aria-label": `Role of ${name}` }, ...ROLES.map((one) => h("option", { selected: one === role }, one)));
  roles.addEventListener("change", async () => {
    try {
      if (roles.value === "admin" && !(await confirmed({ ...MAKE_ADMIN, text: `${name} (${username}) can then do all that you can.` }))) {
        roles.value = role;
        return;
      }
      ({ role } = await api.changeStanding(id, { role: roles.value }));
      announce(`The role of ${name} is ${role} now.`);
    } catch (error) {
      roles.value = role;
      showError(error);
    }
  });
  const shutOut = async () => {
    const text = `${name} (${username}) is signed out everywhere, and their tokens stop working. Their chats stay.`;
    if (disabled || (await confirmed({ title: "Disable this account?", text, yes: "Disable" }))) {
      onChanged(await api.changeStanding(id, { disabled: !disabled }));
    }
  };
  return entry(title, [username], roles, actionButton(disabled ? "Enable" : "Disable", name, shutOut));
}
