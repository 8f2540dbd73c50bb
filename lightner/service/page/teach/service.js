// The service: calls with the key, which wait while it is away and while it wants another key. So no caller loses what
// was typed: its call ends when the service has answered.

import { announce, at, hide, quiet, show, tell } from "./document.js";
import { forget, keep, kept } from "./drafts.js";

const PASSING = new Set([0, 408, 429, 503, 504]);
const LONGEST_WAIT_S = 15;

let waiting = null;
let away = false;
let asking = null;

/** What the service says of a request that it refuses. */
export class Problem extends Error {
  constructor(status, content) {
    super(content.detail ?? "the answer says no more");
    this.status = status;
    this.title = content.title ?? `Status ${status}`;
    this.kind = (content.type ?? "").replace("urn:lightner:problem:", "");
    this.content = content;
  }
}

/** Take the key from the address, where `lightner teach` puts it, and take it out of there. */
export function takeKeyFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (!given) return;
  keep("key", given);
  history.replaceState(null, "", location.pathname + location.search);
}

export const path = (...parts) => `v1/${parts.map(encodeURIComponent).join("/")}`;

/** The answer's JSON, or its text; throws a Problem that repeating does not mend. */
export async function call(method, address, { body = undefined, signal = null, text = false } = {}) {
  for (let tries = 0; ; tries += 1) {
    const key = kept("key");
    try {
      const answer = await request(method, address, { body, signal });
      const content = text ? await answer.text() : await answer.json();
      back();
      return content;
    } catch (error) {
      // Another call may have got another key meanwhile.
      if (error.status === 401) await (key === kept("key") ? askForKey() : null);
      else if (passes(error) && !signal?.aborted) await pause(error, tries);
      else throw error;
    }
  }
}

/** One request; its answer, or the Problem that came instead. */
export async function request(method, address, { body = undefined, signal = null } = {}) {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  if (kept("key")) headers.authorization = `Bearer ${kept("key")}`;
  let answer;
  try {
    answer = await fetch(address, { method, headers, body: body && JSON.stringify(body, wellFormed), signal });
  } catch (error) {
    if (error.name === "AbortError" || !(error instanceof TypeError)) throw error;
    throw new Problem(0, { title: "The service cannot be reached", detail: "is it running?" });
  }
  if (answer.ok) return answer;
  throw new Problem(answer.status, await answer.json().catch(() => ({})));
}

// Half a surrogate pair is no character, and no JSON that the service reads.
const wellFormed = (_, value) => (typeof value === "string" ? (value.toWellFormed?.() ?? value) : value);

// A 502 without a problem document is a proxy's; the service's own says that a prompt is damaged, which stays so.
const passes = ({ status, content }) => PASSING.has(status) || (status === 502 && !content.type);

/** Wait until it is time to try again, or the person says so. All callers wait for the same moment. */
function pause(problem, tries) {
  away = true;
  waiting ??= new Promise((resolve) => {
    const seconds = Math.min(2 ** tries, LONGEST_WAIT_S);
    const done = () => {
      clearTimeout(timer);
      waiting = null;
      resolve();
    };
    const timer = setTimeout(done, seconds * 1000);
    const detail = `${problem.message} — nothing is lost: this page keeps what you did and tries again by itself`;
    tell(problem.title, detail, { bad: true, again: done, name: "Try now" });
  });
  return waiting;
}

/** Whatever is answered says that the service is there: once, and only of an absence that was shown. */
function back() {
  if (!away) return;
  away = false;
  quiet();
  announce("The service answers again");
}

/** Ask for a key and wait for it. */
export function askForKey() {
  asking ??= new Promise((resolve) => {
    if (kept("key")) tell("This key is not the right one", "", { bad: true });
    show("key-form");
    at("key").value = "";
    at("key").focus();
    at("key-form").onsubmit = (event) => {
      event.preventDefault();
      if (at("key").value) keep("key", at("key").value);
      else forget("key");
      asking = null;
      hide("key-form");
      quiet();
      resolve();
    };
  });
  return asking;
}

/** Show why something did not work. With another key it may: then `again` does it. */
export function fail(error, again = null) {
  if (error.name === "AbortError") return;
  if (!(error instanceof Problem)) {
    tell("This page failed", error.message, { bad: true });
    throw error;
  }
  if (error.kind === "forbidden") {
    const other = async () => {
      await askForKey();
      await again?.();
    };
    return tell(error.title, error.message, { bad: true, again: other, name: "Use another key" });
  }
  tell(error.title, error.message, { bad: true });
}
