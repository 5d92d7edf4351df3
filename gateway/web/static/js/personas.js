/** The personas one may chat with, and whether the model of each can answer yet. */

import * as api from "./api.js";

const POLL = 2_500;

let known = new Map();

/** Ask for the personas anew; all of them, in the gateway's order. */
export async function loadPersonas() {
  const { data } = await api.personas();
  known = new Map(data.map((persona) => [persona.id, persona]));
  return data;
}

/** The persona's name; its id when it is gone. */
export const personaName = (id) => known.get(id)?.name ?? id;

/** What the persona is, in a sentence of its author. */
export const personaDescription = (id) => known.get(id)?.description ?? "";

/** Whether the persona's model can answer, and a sentence about it; without one there is nothing to tell. */
export const availabilityOf = (id) => known.get(id)?.availability ?? { readiness: "ready", sentence: "" };

const isLoading = (persona) => persona.availability?.readiness === "loading";

/** Ask again until none of these is loading; `onNews` hears each answer. Returns how to give up. */
export function watchLoading(ids, onNews) {
  let timer = null;
  const plan = () => {
    const waiting = ids.some((id) => known.has(id) && isLoading(known.get(id)));
    timer = waiting ? setTimeout(ask, POLL) : null;
  };
  const ask = async () => {
    try {
      const personas = await loadPersonas();
      if (timer !== null) onNews(personas);
    } catch {
      // The next request that matters tells what is wrong.
    }
    if (timer !== null) plan();
  };
  plan();
  return () => {
    clearTimeout(timer);
    timer = null;
  };
}
