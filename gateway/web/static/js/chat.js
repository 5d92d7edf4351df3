/** The open chat: its active branch of messages, and the turn that may be running in it. */

import * as api from "./api.js";
import { Members } from "./members.js";
import { announce, clearNotices, showError, showNotice } from "./notices.js";
import { gatewayReturned } from "./outage.js";
import { focusStep } from "./stepper.js";
import { followTurn } from "./turn-stream.js";

const PAGE = 50;
const LAST_FEW = 8;

const SPOKEN_ENDINGS = {
  stopped: "The reply was stopped.",
  failed: "The reply failed.",
  interrupted: "The reply failed.",
};

/** One chat while it is on the screen. `views` are shared with the chats before and after it. */
export class Conversation {
  chat = null;
  members = new Members();
  #views;
  #messages = [];
  #earlier = null;
  #turn = null;
  #unsent = null;
  #leaving = new AbortController();

  constructor(views) {
    this.#views = views;
  }

  /** Load the chat and show it, joining its turn if one is running. */
  async open(id) {
    const [chat, page] = await this.#read(id, PAGE);
    this.#accept(chat, page.data, page.prev);
    this.#views.composer.use(chat, this.#views.nameOf(chat));
    this.#views.scroll.toEnd();
    this.#joinRunning();
  }

  /** Stop reading; a running turn goes on without us. */
  leave() {
    this.#leaving.abort();
  }

  /** Take in what happened while nobody looked: what others said, and a turn that was asked for elsewhere. */
  async catchUp() {
    if (!this.chat || this.#turn) return;
    try {
      await this.#refresh();
      if (!this.#turn) this.#joinRunning();
    } catch (error) {
      if (error.status === 404) await this.#tell(error);
    }
  }

  /** Say something new at the end of the branch. */
  send(content) {
    this.#ask({ content }, this.#messages, (problem) => {
      this.#views.composer.restore(this.chat.id, content);
      if (problem.code === "turn-running") this.#joinOther(problem.rest.turn_id);
    });
  }

  /** Say an earlier message otherwise: a sibling of it, with a branch of its own. */
  resend(message, content) {
    const before = this.#messages.slice(0, this.#positionOf(message.id));
    this.#ask({ content, parent_id: message.parent_id ?? null }, before, () => {
      if (!this.#leaving.signal.aborted) this.#views.transcript.openEditor(message, content);
    });
  }

  /** Have a reply made again: a sibling of it. */
  retry(reply) {
    const before = this.#messages.slice(0, this.#positionOf(reply.id));
    const key = api.newKey();
    this.#run({ connect: () => api.retryTurn(reply.turn_id, key), before, said: null });
  }

  /** Stop the reply that is being written; whether there was one. */
  stop() {
    if (!this.#turn) return false;
    if (this.#turn.id) api.stopTurn(this.#turn.id).catch(showError);
    else this.#turn.stopWanted = true;
    return true;
  }

  /** Go over to the newest branch through a sibling; the reader's eyes and focus stay where they are. */
  async switchTo(message, siblingId, step) {
    const { transcript, scroll } = this.#views;
    await this.#trying(async () => {
      const chat = await api.switchBranch(this.chat.id, siblingId);
      const page = await this.#readMessages(chat.id, { limit: Math.max(PAGE, this.#messages.length) });
      let shown = message.id;
      const change = () => {
        this.#accept(chat, page.data, page.prev);
        shown = siblingId;
      };
      scroll.holding(() => transcript.elementOf(shown), change);
      focusStep(transcript.elementOf(siblingId), step);
    });
  }

  async loadEarlier() {
    await this.#trying(async () => {
      const page = await this.#readMessages(this.chat.id, { before: this.#earlier, limit: PAGE });
      const first = this.#messages[0]?.id;
      this.#views.scroll.holding(
        () => this.#views.transcript.elementOf(first),
        () => {
          this.#messages = [...page.data, ...this.#messages];
          this.#earlier = page.prev;
          this.#show();
        },
      );
    });
  }

  #positionOf(id) {
    return this.#messages.findIndex((message) => message.id === id);
  }

  /** The chat, and the newest messages of its active branch. */
  #read(id, limit) {
    return Promise.all([api.chat(id, this.#leaving.signal), this.#readMessages(id, { limit })]);
  }

  /** Some messages, once everybody who speaks in them is known by name. */
  async #readMessages(id, options) {
    const signal = this.#leaving.signal;
    const page = await api.messages(id, { ...options, signal });
    await this.members.meet(id, this.#views.me(), page.data, signal);
    return page;
  }

  #show() {
    if (this.#leaving.signal.aborted) return;
    this.#views.transcript.show(this.#messages);
    this.#views.onShown({ empty: this.#messages.length === 0, earlier: this.#earlier !== null });
  }

  async #trying(work) {
    try {
      await work();
    } catch (error) {
      await this.#tell(error);
    }
  }

  /** Show why something failed; who has lost the chat itself is told so and led away. */
  async #tell(problem) {
    const isGone = problem.status === 404 && (await api.chat(this.chat.id).then(() => false, ({ status }) => status === 404));
    if (this.#leaving.signal.aborted) return;
    if (isGone) this.#views.onGone(this.chat.id);
    else showError(problem);
  }

  /** Ask for a turn. After a connection that broke too early to know, the same text is sent under the same key. */
  async #ask(asked, before, onRefused) {
    const same = JSON.stringify(asked);
    const key = this.#unsent?.same === same ? this.#unsent.key : api.newKey();
    const said = { id: "unsent", role: "user", content: asked.content, state: "completed", sender_id: this.#views.me().id };
    const connect = () => api.askTurn(this.chat.id, asked, key);
    this.#unsent = { same, key };
    const problem = await this.#run({ connect, before, said });
    if (problem?.status !== 0) this.#unsent = null;
    if (problem) onRefused(problem);
  }

  #joinRunning() {
    // The chat and its messages were read side by side: a turn may have ended in between.
    const turnId = this.chat.running_turn ?? this.#messages.find(({ state }) => state === "running")?.turn_id;
    if (!turnId) return;
    const before = this.#messages.filter(({ state, turn_id }) => !(state === "running" && turn_id === turnId));
    const reply = this.#messages.find((message) => !before.includes(message)) ?? null;
    this.#run({ connect: () => api.turnEvents(turnId, null, this.#leaving.signal), turnId, before, said: null, reply });
  }

  /** A turn asked elsewhere is in the way: show it, and let the reader send again after it. */
  async #joinOther(turnId) {
    await this.#trying(() => this.#reload());
    this.chat = { ...this.chat, running_turn: this.chat.running_turn ?? turnId };
    this.#joinRunning();
  }

  /** Follow one turn to its end; the problem if it could not even begin. */
  async #run({ connect, turnId = null, before, said, reply = null }) {
    const { transcript, composer, scroll } = this.#views;
    const held = this.#messages;
    const turn = (this.#turn = { id: turnId, stopWanted: false });
    let arriving = reply && transcript.arriving(reply.id);
    const handle = (name, data) => {
      if (name === "turn.started") {
        turn.id = data.turn_id;
        const asked = said && { ...said, id: data.user_message_id };
        reply ??= { id: data.reply_message_id, role: "assistant", content: "", state: "running", turn_id: data.turn_id };
        this.#messages = [...before, asked, reply].filter(Boolean);
        this.#show();
        arriving ??= transcript.arriving(reply.id);
        if (turn.stopWanted) this.stop();
        this.#showBegun(turn).catch(() => {}); // the stream tells what is wrong
      } else if (name === "reply.delta") arriving?.append(data.text);
      else if (name === "turn.snapshot") arriving?.replace(data.text);
    };
    clearNotices();
    composer.setRunning(true);
    transcript.setBusy(true);
    if (said) this.#messages = [...before, said];
    this.#show();
    if (said) scroll.toEnd();
    let problem = null;
    try {
      this.#end(await followTurn({ connect, turnId, handle, onConnection: this.#onConnection, signal: this.#leaving.signal }));
    } catch (error) {
      problem = error;
    }
    const refused = turn.id === null ? problem : null;
    if (this.#leaving.signal.aborted) return refused;
    this.#turn = null;
    composer.setRunning(false);
    transcript.setBusy(false);
    if (refused) {
      this.#messages = held;
      this.#show();
    }
    if (problem) await this.#tell(problem);
    if (!refused && !this.#leaving.signal.aborted) await this.#readEnded();
    return refused;
  }

  /** The reply as it was stored. It has told its end already: a gateway that is away is waited for without a word. */
  async #readEnded() {
    try {
      await this.#refresh();
    } catch (error) {
      if (error.code === "unreachable") gatewayReturned();
      else await this.#tell(error);
    }
  }

  /** The first turn gives the chat its title, and each one its place in the list. */
  async #showBegun(turn) {
    const chat = await api.chat(this.chat.id, this.#leaving.signal);
    if (this.#turn === turn) this.#views.onChat(chat);
  }

  #onConnection = (connected) => {
    if (connected) clearNotices();
    else showNotice("The connection was lost. Joining the reply again …");
  };

  /** The turn's own account stands until the rendered reply is read back. */
  #end(turn) {
    if (this.#leaving.signal.aborted) return;
    announce(SPOKEN_ENDINGS[turn.state] ?? `${this.#views.nameOf(this.chat)} has replied.`);
    if (turn.notices.length) showNotice(turn.notices.join(" "));
    const ended = { ...turn.reply, turn_id: turn.id, model: turn.model, error: turn.error };
    this.#messages = this.#messages.map((message) => (message.id === ended.id ? { ...message, ...ended } : message));
    this.#show();
  }

  /** Read the last few messages again, now rendered; all of them if the branch is another one by now. */
  async #refresh() {
    const [chat, page] = await this.#read(this.chat.id, LAST_FEW);
    const overlap = this.#positionOf(page.data[0]?.id);
    if (overlap < 0) return this.#reload();
    this.#accept(chat, [...this.#messages.slice(0, overlap), ...page.data], this.#earlier);
  }

  async #reload() {
    const [chat, page] = await this.#read(this.chat.id, PAGE);
    this.#accept(chat, page.data, page.prev);
  }

  /** Show what was read, unless a turn has begun since: that brings newer messages, and reads them again when it ends. */
  #accept(chat, messages, earlier) {
    if (this.#turn) return;
    this.chat = chat;
    this.#messages = messages;
    this.#earlier = earlier;
    this.#show();
    this.#views.onChat(chat);
  }
}
