// Server-sent events read by fetch: the browser's own EventSource cannot send a key.

import { call, request } from "./service.js";

const AGAIN_S = 2;
const OVER = new Set(["finished", "failed", "stopped"]);

export const isOver = ({ state }) => OVER.has(state);

/** Call `changed` with a tuning whenever it changes, until it is over or `signal` says so. */
export async function watch(address, { changed, signal }) {
  while (!signal.aborted) {
    // Asked for plainly first: that waits while the service is away, or wants another key.
    const tuning = await call("GET", address, { signal });
    if (signal.aborted) return;
    changed(tuning);
    if (isOver(tuning)) return;
    try {
      const answer = await request("GET", `${address}/events`, { signal });
      for await (const data of eventsOf(answer.body)) changed(JSON.parse(data));
    } catch (error) {
      if (signal.aborted) return;
      // A stream that breaks is connected again; what was missed is in the next answer.
      if (error.name === "AbortError" || error.status === 404) throw error;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_S * 1000));
    }
  }
}

/** The data of each event of a stream. */
async function* eventsOf(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (rest + value.replaceAll("\r\n", "\n")).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const lines = event.split("\n").filter((line) => line.startsWith("data:"));
      if (lines.length > 0) yield lines.map((line) => line.slice(5).trimStart()).join("\n");
    }
  }
}
