// What the steps share: the domain with its labels, and words between them.

import { call, path } from "./service.js";

export const state = { domain: null, labels: [], revision: 0 };

const listeners = new Map();

/** Call `listener` whenever `name` happens: "domain" and "labels" changed, "go" to a step. */
export function on(name, listener) {
  listeners.set(name, [...(listeners.get(name) ?? []), listener]);
}

export function emit(name, value = null) {
  for (const listener of listeners.get(name) ?? []) listener(value);
}

/** The path of something of the present domain. */
export const ofDomain = (...parts) => path("domains", state.domain, ...parts);

/** Load the labels of a domain, which becomes the present one. A new one has none. */
export async function choose(domain) {
  let answer = { labels: [], revision: 0 };
  try {
    answer = await call("GET", path("domains", domain, "labels"));
  } catch (error) {
    if (error.status !== 404) throw error;
  }
  state.domain = domain;
  know(answer);
  emit("domain");
}

/** Take over labels as the service has them. */
export function know({ labels, revision }) {
  Object.assign(state, { labels, revision });
  emit("labels");
}
