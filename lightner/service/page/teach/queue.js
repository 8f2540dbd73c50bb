// Which sentence is next: those that were asked for first, then what the service deems most worth labelling. The next
// one is fetched while the present one is being labelled.

import { call } from "./service.js";
import { ofDomain } from "./state.js";

const LOADED = 20;

let ids = [];
let ahead = null;

export function reset() {
  ids = [];
  ahead = null;
}

/** Put sentences first. */
export function putFirst(...first) {
  ids = [...first, ...ids.filter((id) => !first.includes(id))];
}

/** The id of the next sentence, or null if none is left to label. */
export async function next() {
  if (ids.length === 0) {
    const { examples } = await call("GET", `${ofDomain("examples")}?order=suggested&limit=${LOADED}`);
    ids = examples.map(({ id }) => id);
  }
  return ids.shift() ?? null;
}

/** A sentence as the service has it, with its words and proposals. */
export async function fetched(id) {
  const found = ahead?.id === id ? ahead.answer : call("GET", ofDomain("examples", id));
  ahead = null;
  return found;
}

/** Fetch the sentence that is likely next. */
export function fetchAhead() {
  if (ids.length === 0) return;
  ahead = { id: ids[0], answer: call("GET", ofDomain("examples", ids[0])) };
  // Whoever takes it sees the error.
  ahead.answer.catch(() => {});
}
