/** One's name and password. */

import * as api from "../api.js";
import { h } from "../dom.js";
import { field, onSubmit, submitRow } from "../forms.js";
import { section } from "./parts.js";

/** `onProfile(profile)` hears the profile with its new name. */
export function nameSection(me, onProfile) {
  const name = h("input", { name: "display_name", value: me.display_name, maxlength: 80, required: true, autocomplete: "nickname" });
  const form = h("form", {}, field("Display name", name), submitRow("Save"));
  onSubmit(form, async (data) => {
    onProfile(await api.changeProfile({ display_name: data.get("display_name") }));
    return "Saved.";
  });
  return section("Name", "What personas call you, and others in your chats see.", form);
}

/** `onChanged()` hears that all other logins have ended. */
export function passwordSection(me, onChanged) {
  const secret = (name, autocomplete) => h("input", { name, type: "password", autocomplete, required: true });
  const form = h(
    "form",
    {},
    // Password managers look for whose password it is.
    h("input", { type: "text", autocomplete: "username", value: me.username, readonly: true, hidden: true }),
    field("Current password", secret("current", "current-password")),
    field("New password", secret("new", "new-password")),
    submitRow("Change password"),
  );
  onSubmit(form, async (data) => {
    await api.changePassword(data.get("current"), data.get("new"));
    form.reset();
    onChanged();
    return "Changed. All your other logins have ended.";
  });
  return section("Password", "A new one ends all your other logins.", form);
}
