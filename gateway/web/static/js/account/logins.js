/** Where one is signed in. */

import * as api from "../api.js";
import { h } from "../dom.js";
import { KeyedList } from "../keyed-list.js";
import { showError } from "../notices.js";
import { actionButton, day, entry, mark, minute, section } from "./parts.js";

const BROWSERS = [["Edge", /Edg/], ["Opera", /OPR/], ["Firefox", /Firefox/], ["Chrome", /Chrome/], ["Safari", /Safari/]];
const SYSTEMS = [["Android", /Android/], ["iPhone", /iPhone/], ["iPad", /iPad/], ["Windows", /Windows/], ["macOS", /Mac OS/], ["Linux", /Linux/]];

/** `signOut()` ends the login that asks. */
export function loginsSection(signOut) {
  const list = h("ul", { class: "entries" });
  const rows = new KeyedList(list);
  const row = (login) => {
    const program = programOf(login.user_agent);
    const end = async () => {
      if (login.current) return signOut();
      await api.endLogin(login.id);
      return load();
    };
    return entry(
      [program, login.current && mark("this browser")],
      [`Signed in ${day(login.created_at)}, last used ${minute(login.last_seen_at)}`],
      actionButton("Sign out", program, end),
    );
  };
  const load = async () => {
    const { data } = await api.logins();
    data.sort((one, other) => other.current - one.current);
    rows.show(data.map((login) => ({ key: login.id, about: login.id, draw: () => row(login) })));
    others.hidden = data.length < 2;
  };
  const others = actionButton("Sign out all others", "", async () => {
    await api.endOtherLogins();
    await load();
  });
  load().catch(showError);
  return section("Logins", "The browsers and programs that are signed in as you.", list, others);
}

/** "Firefox on Linux"; the program's own first word where it is no browser that we know. */
function programOf(userAgent) {
  const named = (names) => names.find(([, pattern]) => pattern.test(userAgent))?.[0];
  const browser = named(BROWSERS);
  if (!browser) return userAgent.split(/[\s/]/)[0] || "A program without a name";
  const system = named(SYSTEMS);
  return system ? `${browser} on ${system}` : browser;
}
