/** Signing in and signing up, with the gateway's own sentences for what went wrong. */

import * as api from "./api.js";
import { byId } from "./dom.js";
import { showFieldErrors } from "./forms.js";

let setup = { signup: "closed", needs_setup_code: false, first_account: false };
let signingUp = false;
let onEntered = () => {};

/** Wire the form up once; `entered` hears when somebody is in. */
export function setUpLogin(entered) {
  onEntered = entered;
  byId("login").addEventListener("submit", submit);
  byId("login-switch-button").addEventListener("click", () => {
    showForm(!signingUp);
    tell("");
    byId("login-username").focus();
  });
}

/** Show the form that fits, with a sentence why if there is one. */
export async function showLogin(sentence = "") {
  tell(sentence);
  try {
    setup = await api.setup();
  } catch (problem) {
    tell(sentence || problem.message);
  }
  showForm(setup.first_account && !sentence);
  byId("welcome").hidden = false;
  byId("login-username").focus();
}

export function hideLogin() {
  byId("welcome").hidden = true;
  byId("login").reset();
}

function showForm(asSignup) {
  signingUp = asSignup;
  const text = (id, words) => (byId(id).textContent = words);
  text("login-title", asSignup ? "Create an account" : "Sign in");
  text("login-lead", lead());
  text("login-submit", asSignup ? "Create account" : "Sign in");
  text("login-username-label", asSignup ? "Username" : "Username or email");
  text("login-switch-text", asSignup ? "Have an account?" : "New here?");
  text("login-switch-button", asSignup ? "Sign in" : "Create an account");
  byId("login-email-field").hidden = !asSignup;
  byId("login-setup-field").hidden = !(asSignup && setup.needs_setup_code);
  byId("login-switch").hidden = !asSignup && setup.signup === "closed" && !setup.first_account;
  byId("login-password").autocomplete = asSignup ? "new-password" : "current-password";
  showFieldErrors(byId("login"), []);
}

function lead() {
  if (!signingUp) return "Conversations with characters, kept on this gateway.";
  return setup.first_account ? "Yours is the first account: it will look after this gateway." : "A name, an address and a password are all it takes.";
}

async function submit(event) {
  event.preventDefault();
  const values = Object.fromEntries(new FormData(byId("login")));
  const button = byId("login-submit");
  button.disabled = true;
  tell("");
  showFieldErrors(byId("login"), []);
  try {
    const { notice } = await (signingUp ? api.signup(account(values)) : api.login(values.username, values.password));
    const me = await cookieOwner(notice);
    hideLogin();
    onEntered(me, notice);
  } catch (problem) {
    showProblem(problem);
  } finally {
    button.disabled = false;
  }
}

function account({ username, email, password, setup_code }) {
  return { username, email, password, ...(setup.needs_setup_code ? { setup_code } : {}) };
}

/** Who the cookie says we are: on plain http away from loopback, browsers drop it without a word. */
async function cookieOwner(notice) {
  try {
    return await api.me();
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    throw new api.Problem({
      code: "cookie-dropped",
      detail:
        notice ||
        "The browser did not keep the login. Over plain http it does so only for 127.0.0.1 and localhost: open the page there, or serve it over https.",
    });
  }
}

function showProblem(problem) {
  // The gateway may have got its first account, or closed, since the form was shown.
  if (problem.code.includes("setup") || problem.code.includes("set-up")) {
    setup = { ...setup, needs_setup_code: true };
    byId("login-setup-field").hidden = !signingUp;
  }
  const unplaced = showFieldErrors(byId("login"), problem.errors);
  tell(unplaced || problem.errors.length === 0 ? problem.message : "");
  const wrong = byId("login").querySelector("[aria-invalid=true]");
  (wrong ?? byId("login-password")).focus();
}

function tell(sentence) {
  byId("login-notice").textContent = sentence;
  byId("login-notice").hidden = !sentence;
}
