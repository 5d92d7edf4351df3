/** The gateway's JSON API. The login cookie authenticates; this page never holds a token. */

/** A refusal, or no answer at all: `message` is the gateway's own sentence, `code` is stable. */
export class Problem extends Error {
  constructor({ status = 0, code = "unreachable", detail, errors = [], ...rest }) {
    super(detail);
    Object.assign(this, { status, code, errors, rest });
  }
}

let onLoginEnded = () => {};

/** Say what happens when a request finds that the login has ended. */
export function whenLoginEnds(listener) {
  onLoginEnded = listener;
}

/** Send a request; the response if it was accepted, else a `Problem` is thrown. */
export async function send(method, path, { body, headers = {}, signal, endsLogin = true } = {}) {
  const sent = { method, headers: { accept: "application/json", ...headers }, signal, credentials: "same-origin" };
  if (body !== undefined) {
    sent.body = JSON.stringify(body);
    sent.headers["content-type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, sent);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ detail: "The gateway cannot be reached. Check the connection, then try again." });
  }
  if (response.ok) return response;
  const problem = await asProblem(response);
  if (problem.status === 401 && endsLogin) onLoginEnded();
  throw problem;
}

async function asProblem(response) {
  const fallback = { status: response.status, code: "unexplained", detail: `The gateway answered ${response.status}.` };
  try {
    const told = await response.json();
    return new Problem({ ...fallback, ...told, detail: told.detail || told.title || fallback.detail });
  } catch {
    return new Problem(fallback);
  }
}

async function json(method, path, options) {
  const response = await send(method, path, options);
  return response.status === 204 ? null : response.json();
}

/** Whether the gateway answers at all. */
export const isReachable = () => fetch("/healthz").then(({ ok }) => ok, () => false);

const query = (values) => {
  const given = Object.entries(values).filter(([, value]) => value != null);
  return given.length ? `?${new URLSearchParams(given)}` : "";
};
const EVENT_STREAM = { accept: "text/event-stream" };
const asker = { endsLogin: false };

export const setup = () => json("GET", "/api/setup");
export const signup = (account) => json("POST", "/api/auth/signup", { body: account, ...asker });
export const login = (username, password) => json("POST", "/api/auth/login", { body: { username, password }, ...asker });
export const logout = () => json("POST", "/api/auth/logout", asker);
export const me = () => json("GET", "/api/me", asker);

export const changeProfile = (changes) => json("PATCH", "/api/me", { body: changes });
export const changePassword = (current, fresh) => json("POST", "/api/me/password", { body: { current, new: fresh } });

export const logins = () => json("GET", "/api/auth/sessions");
export const endLogin = (id) => json("DELETE", `/api/auth/sessions/${id}`);
export const endOtherLogins = () => json("DELETE", "/api/auth/sessions");
export const scopes = () => json("GET", "/api/auth/scopes");
export const tokens = () => json("GET", "/api/auth/tokens");
export const createToken = (asked) => json("POST", "/api/auth/tokens", { body: asked });
export const revokeToken = (id) => json("DELETE", `/api/auth/tokens/${id}`);

export const people = (after) => json("GET", `/api/admin/users${query({ after })}`);
export const changeStanding = (id, changes) => json("PATCH", `/api/admin/users/${id}`, { body: changes });

export const personas = () => json("GET", "/api/personas");

export const chats = (after) => json("GET", `/api/chats${query({ after, limit: 30 })}`);
export const chat = (id, signal) => json("GET", `/api/chats/${id}`, { signal });
export const createChat = (persona, greeting) => json("POST", "/api/chats", { body: { persona, greeting } });
export const renameChat = (id, title) => json("PATCH", `/api/chats/${id}`, { body: { title } });
export const switchBranch = (id, message) => json("PATCH", `/api/chats/${id}`, { body: { active_leaf: message } });
export const deleteChat = (id) => json("DELETE", `/api/chats/${id}`);
export const messages = (id, { before, limit = 50, signal } = {}) =>
  json("GET", `/api/chats/${id}/messages${query({ before, limit, render: "html" })}`, { signal });

export const members = (id, signal) => json("GET", `/api/chats/${id}/members`, { signal });

export const nextContext = (id) => json("GET", `/api/chats/${id}/context`);
export const saveSessionData = (id, data) => json("PUT", `/api/chats/${id}/context`, { body: { data } });
export const turnContext = (id) => json("GET", `/api/turns/${id}/context`);

/** Ask for a turn; the response streams its events. The key makes sending the same again safe. */
export const askTurn = (id, asked, key) =>
  send("POST", `/api/chats/${id}/turns`, { body: asked, headers: { ...EVENT_STREAM, "idempotency-key": key } });
export const retryTurn = (id, key) => send("POST", `/api/turns/${id}/retry`, { headers: { ...EVENT_STREAM, "idempotency-key": key } });
export const turn = (id, signal) => json("GET", `/api/turns/${id}`, { signal });
export const stopTurn = (id) => json("POST", `/api/turns/${id}/stop`);
export const turnEvents = (id, lastEventId, signal) =>
  send("GET", `/api/turns/${id}/events`, {
    headers: lastEventId ? { ...EVENT_STREAM, "last-event-id": lastEventId } : EVENT_STREAM,
    signal,
  });

/** A random key for one sending; `crypto.randomUUID` exists only on https and loopback. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
