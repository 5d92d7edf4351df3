/** A turn followed to its end, over as many connections as that takes. Leaving does not stop the turn. */

import { Problem, turn as readTurn, turnEvents } from "./api.js";
import { readEvents } from "./event-stream.js";

const TERMINAL = new Set(["turn.completed", "turn.stopped", "turn.failed"]);
const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;

/**
 * Hand each event of a turn to `handle(name, data)`, up to the terminal one; resolves to the turn as it ended.
 *
 * `connect` opens the first connection; later ones resume after the last event seen. `onConnection(connected)` tells
 * of gaps. Throws the `Problem` that ends the reading before the turn ended, such as access that was lost.
 */
export async function followTurn({ connect, turnId = null, handle, onConnection, signal }) {
  let lastEventId = null;
  let wait = FIRST_WAIT;
  let open = connect;
  for (;;) {
    try {
      const response = await open();
      onConnection(true);
      if (response.status === 204) {
        // There is nothing more to tell, and no end was heard: how the turn ended is read instead.
        const turn = await readTurn(turnId, signal);
        if (turn.ended_at) return turn;
      } else {
        for await (const events of readEvents(response, signal)) {
          wait = FIRST_WAIT;
          for (const { id, name, data } of events) {
            const told = JSON.parse(data);
            if (TERMINAL.has(name)) return told;
            if (name === "turn.started") turnId = told.turn_id;
            lastEventId = id || lastEventId;
            handle(name, told);
          }
        }
      }
    } catch (error) {
      if (signal.aborted) throw error;
      if (turnId === null || (error instanceof Problem && !isPassing(error))) throw error;
    }
    signal.throwIfAborted();
    if (turnId === null) throw new Problem({ detail: "The gateway closed the connection before the turn began. Try again." });
    onConnection(false);
    await pause(wait, signal);
    wait = Math.min(wait * 2, LONGEST_WAIT);
    open = () => turnEvents(turnId, lastEventId, signal);
  }
}

const isPassing = (problem) => problem.status === 0 || problem.status === 429 || problem.status >= 500;

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    const left = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener("abort", left, { once: true });
  });
}
