/** The account page: who one is, how one proves it, which programs may act for one, and for admins, everybody else. */

import { byId, h, monogram } from "../dom.js";
import { loginsSection } from "./logins.js";
import { peopleSection } from "./people.js";
import { nameSection, passwordSection } from "./profile.js";
import { tokensSection } from "./tokens.js";

/** Show the page; `onProfile(profile)` hears of changes, `signOut()` ends this login. */
export function showAccount(me, { onProfile, signOut }) {
  let head = header(me, signOut);
  let logins = loginsSection(signOut);
  let people = me.role === "admin" && peopleSection(me);
  const take = (profile) => {
    head = replaced(head, header(profile, signOut));
    people = people && replaced(people, peopleSection(profile));
    onProfile(profile);
  };
  const readLoginsAgain = () => (logins = replaced(logins, loginsSection(signOut)));
  const sections = [nameSection(me, take), passwordSection(me, readLoginsAgain), logins, tokensSection(), people];
  byId("account").replaceChildren(h("div", { class: "account-column" }, head, ...sections));
  byId("account").hidden = false;
  head.querySelector("h2").focus({ preventScroll: true });
}

/** Nothing of it stays in the page, least of all a token that was just made. */
export function hideAccount() {
  byId("account").hidden = true;
  byId("account").replaceChildren();
}

function replaced(old, now) {
  old.replaceWith(now);
  return now;
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
