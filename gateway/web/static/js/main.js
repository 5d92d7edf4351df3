/** Puts the page together: who is here, which chat the address names, and which keys do what. */

import { hideAccount, showAccount } from "./account/page.js";
import * as api from "./api.js";
import { Conversation } from "./chat.js";
import { ChatList, titleOf } from "./chats.js";
import { Composer } from "./composer.js";
import { byId, h, monogram } from "./dom.js";
import { forgetDrafts, useDraftsOf } from "./drafts.js";
import { closeDrawer, setUpDrawer } from "./drawer.js";
import { Inspector } from "./inspector.js";
import { hideLogin, setUpLogin, showLogin } from "./login.js";
import { setUpMenu } from "./menu.js";
import { clearNotices, showError, showNotice } from "./notices.js";
import { whenGatewayReturns } from "./outage.js";
import { availabilityOf, loadPersonas, personaDescription, personaName, watchLoading } from "./personas.js";
import { hidePicker, showPicker } from "./picker.js";
import { mayWrite } from "./rights.js";
import { followEnd } from "./scroll.js";
import { Transcript } from "./transcript.js";

let me = null;
let conversation = null;
let stopWatching = () => {};

const nameOf = (chat) => personaName(chat.persona);

const transcript = new Transcript(byId("transcript"), describe, {
  retry: (reply) => conversation.retry(reply),
  resend: (message, content) => conversation.resend(message, content),
  switchTo: (message, siblingId, step) => conversation.switchTo(message, siblingId, step),
  inspect: (reply) => inspector.show(reply.turn_id),
});
const composer = new Composer({ onSend: (content) => conversation.send(content), onStop: () => conversation.stop() });
const inspector = new Inspector();
const scroll = followEnd(byId("scroller"), byId("transcript"), (atEnd) => (byId("to-end").hidden = atEnd));
const list = new ChatList({
  onRenamed: (chat) => chat.id === conversation?.chat?.id && showTitleOf(chat),
  onDeleted: (id) => id === conversation?.chat?.id && goTo("#/new"),
});

function describe(message) {
  const { chat, members } = conversation;
  const readOnly = !mayWrite(chat);
  if (message.role === "assistant") {
    const persona = message.persona ?? chat.persona;
    return { name: personaName(persona), mark: persona, readOnly };
  }
  const mine = message.sender_id === me.id;
  return { name: mine ? "You" : members.nameOf(message.sender_id), mark: message.sender_id ?? "", mine, readOnly };
}

function showTitle(title, subtitle = "") {
  byId("title").textContent = title;
  byId("subtitle").textContent = subtitle;
  document.title = `${title} · Persona Chat`;
}

const showTitleOf = (chat) => showTitle(titleOf(chat), chat.title ? nameOf(chat) : "");

/** What there is to know before one writes: an obstacle, or calmly, that a stand-in answers. */
function showAvailability(chat) {
  const { readiness, sentence } = availabilityOf(chat.persona);
  byId("availability").textContent = sentence;
  byId("availability").hidden = !sentence || !mayWrite(chat);
  byId("availability").className = readiness === "ready" ? "stand-in muted" : "banner";
}

function onChat(chat) {
  showTitleOf(chat);
  list.put(chat);
  inspector.use(chat);
  showAvailability(chat);
}

function onShown({ empty, earlier }) {
  byId("earlier").hidden = !earlier;
  byId("beginning").hidden = !empty;
  if (!empty) return;
  const { persona } = conversation.chat;
  byId("beginning").replaceChildren(
    monogram(persona, personaName(persona)),
    h("p", { class: "beginning-name" }, personaName(persona)),
    h("p", { class: "muted" }, personaDescription(persona)),
  );
}

/** Show what the address names: a chat, one's account, or the choice of a persona. */
async function show() {
  conversation?.leave();
  conversation = null;
  stopWatching();
  clearNotices();
  closeDrawer();
  const id = /^#\/chats\/([\w-]+)$/.exec(location.hash)?.[1] ?? null;
  const onAccount = location.hash === "#/account";
  list.markOpen(id);
  byId("chat").hidden = id === null;
  byId("skip-link").hidden = id === null;
  byId("account-link").setAttribute("aria-current", onAccount ? "page" : "false");
  hidePicker();
  hideAccount();
  if (id !== null) return openChat(id);
  inspector.use(null);
  showTitle(onAccount ? "Account" : "New chat");
  if (onAccount) return showAccount(me, { onProfile: showMe, signOut });
  return showPicker((chat) => {
    list.put(chat);
    goTo(`#/chats/${chat.id}`);
  });
}

async function openChat(id) {
  transcript.show([]);
  composer.close();
  byId("beginning").hidden = true;
  const opened = (conversation = new Conversation({
    transcript,
    composer,
    scroll,
    onChat,
    onGone,
    nameOf,
    me: () => me,
    onShown,
  }));
  try {
    await opened.open(id);
    if (conversation !== opened) return;
    stopWatching = watchLoading([opened.chat.persona], () => showAvailability(opened.chat));
  } catch (error) {
    if (conversation !== opened || error.status === 401) return;
    await leaveChat(error.status === 404 ? "There is no such chat, or it is not yours." : error.message);
  }
}

/** The open chat is not there for the reader any more. */
function onGone(id) {
  list.drop(id);
  leaveChat("This chat was deleted, or you do not take part in it any more.");
}

/** Back to the choice of a persona, with a sentence why. */
async function leaveChat(sentence) {
  history.replaceState(null, "", "#/new");
  await show();
  showNotice(sentence);
}

function goTo(hash) {
  if (location.hash === hash) show();
  else location.hash = hash;
}

function showMe(account) {
  me = account;
  byId("account-name").textContent = me.display_name;
  byId("account-mark").replaceChildren(monogram(me.id, me.display_name));
}

/** Somebody is in: show them their chats. */
async function enter(account, notice) {
  showMe(account);
  useDraftsOf(me.id);
  byId("app").hidden = false;
  try {
    await loadPersonas();
    await list.load();
    await show();
  } catch (error) {
    showError(error);
  }
  if (notice) showNotice(notice);
}

/** Nobody is in any more: back to the login, with the drafts kept. */
function leave(sentence) {
  conversation?.leave();
  conversation = null;
  stopWatching();
  hidePicker();
  hideAccount();
  inspector.use(null);
  byId("app").hidden = true;
  showLogin(sentence);
}

async function signOut() {
  try {
    await api.logout();
  } catch (error) {
    if (error.status !== 401) return showError(error);
  }
  forgetDrafts();
  history.replaceState(null, "", "/");
  return leave("");
}

/** What cannot be listed now is told by what the reader does next. */
const refreshList = () => list.refresh().catch(() => {});

function onMove() {
  if (byId("app").hidden) return;
  show();
  refreshList();
}

/** Who comes back to the page sees what happened meanwhile. */
function onReturn() {
  if (document.visibilityState !== "visible" || byId("app").hidden) return;
  refreshAll();
}

/** What the gateway was asked for while it was away is asked for again. */
async function onGatewayBack() {
  if (byId("app").hidden) return;
  await refreshAll();
  if (!conversation && byId("account").hidden && !byId("app").hidden) show();
}

async function refreshAll() {
  refreshList();
  await loadPersonas().catch(() => {}); // the next request that matters tells what is wrong
  conversation?.catchUp();
}

function onEscape(event) {
  if (event.key !== "Escape" || byId("confirm").open || byId("app").hidden) return;
  const inInspector = byId("inspector").contains(document.activeElement);
  if (closeDrawer() || (inInspector && inspector.close()) || conversation?.stop()) event.preventDefault();
  else inspector.close();
}

async function start() {
  setUpDrawer();
  setUpMenu();
  setUpLogin(enter);
  api.whenLoginEnds(() => !byId("app").hidden && leave("Your login has ended. Sign in again to go on; what you were writing is kept."));
  whenGatewayReturns(onGatewayBack);
  window.addEventListener("hashchange", onMove);
  window.addEventListener("focus", onReturn);
  document.addEventListener("visibilitychange", onReturn);
  document.addEventListener("keydown", onEscape);
  byId("logout").addEventListener("click", signOut);
  byId("earlier").addEventListener("click", () => conversation.loadEarlier());
  byId("to-end").addEventListener("click", () => scroll.toEnd());
  try {
    await enter(await api.me());
  } catch (problem) {
    if (problem.status === 401) showLogin();
    else showLogin(problem.message);
  }
}

start();
