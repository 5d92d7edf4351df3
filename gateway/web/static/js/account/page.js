/** The account page: who one is, how one proves it, which programs may act for one, and for admins, everybody else. */

import { byId, h, monogram } from "../dom.js";
import { loginsSection } from "./logins.js";
import { peopleSection } from "./people.js";
import { nameSection, passwordSection } from "./profile.js";
import { tokensSection } from "./tokens.js";

/** Show the page; `onProfile(profile)` hears of changes, `signOut()` ends this login. */
export function showAccount(me, { onProfile, signOut }) {
  let head = header(me, signOut);
  const take = (profile) => {
    const now = header(profile, signOut);
    head.replaceWith(now);
    head = now;
    onProfile(profile);
  };
  let logins = loginsSection(signOut);
  const readLoginsAgain = () => {
    const now = loginsSection(signOut);
    logins.replaceWith(now);
    logins = now;
  };
  const sections = [nameSection(me, take), passwordSection(me, readLoginsAgain), logins, tokensSection()];
  if (me.role === "admin") sections.push(peopleSection(me));
  byId("account").replaceChildren(h("div", { class: "account-column" }, head, ...sections));
  byId("account").hidden = false;
  head.querySelector("h2").focus({ preventScroll: true });
}

/** Nothing of it stays in the page, least of all a token that was just made. */
export function hideAccount() {
  byId("account").hidden = true;
  byId("account").replaceChildren();
}

function header({ id, display_name: name, username, email, role }, signOut) {
  return h(
    "header",
    { class: "account-head" },
    monogram(id, name),
    h("div", { class: "account-who" }, h("h2", { tabindex: -1 }, name), h("p", { class: "muted" }, [username, email, role].filter(Boolean).join(" · "))),
    h("button", { type: "button", class: "button", onclick: signOut }, "Sign out"),
  );
}
