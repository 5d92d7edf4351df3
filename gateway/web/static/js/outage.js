/** A gateway that could not be reached: asked gently until it answers again. */

import { isReachable } from "./api.js";

const POLL = 3_000;

let onBack = () => {};
let waiting = null;

/** Say what happens when the gateway is back. */
export function whenGatewayReturns(listener) {
  onBack = listener;
}

/** Resolves when the gateway answers again, once for all who wait. */
export function gatewayReturned() {
  waiting ??= ask();
  return waiting;
}

async function ask() {
  do await new Promise((resolve) => setTimeout(resolve, POLL));
  while (!(await isReachable()));
  waiting = null;
  onBack();
}
