// Step 4: tune on the finished sentences, watch it, and decide about its result.

import { announce, at, counted, hide, onClick, onSend, quiet, show, tell } from "./document.js";
import { tag } from "./colours.js";
import { curveOf } from "./curve.js";
import { isOver, watch } from "./events.js";
import { partsOf } from "./result.js";
import { call, fail, path } from "./service.js";
import { emit, ofDomain, on, state } from "./state.js";

const STAGES = { scan: "trying settings", learning: "learning", publishing: "publishing" };

let watched = null;
let result = null;
let said = "";

/** Come to the step: what would be done, what is being done, what was done. */
export async function enter() {
  // Nothing is started before it is known what runs already.
  at("start").disabled = true;
  try {
    const [plan, { tunings }] = await Promise.all([
      call("GET", ofDomain("tunings", "plan")),
      call("GET", ofDomain("tunings")),
    ]);
    if (tunings.length > 0) follow(tunings[0]);
    else hide("running", "outcome");
    showPlan(plan);
  } catch (error) {
    fail(error, enter);
  }
}

function showPlan({ possible, why, sentences, test, thin, seconds }) {
  const held = test > 0 ? `, and ${counted(test, "sentence")} held out to compare versions on` : "";
  const time = seconds === null ? "The first time takes a few minutes." : `The last time took ${timeOf(seconds)}.`;
  at("plan").textContent = possible
    ? `A prompt for ${state.domain} would learn from ${counted(sentences, "sentence")}${held}. ${time}`
    : `Not yet: ${why}`;
  const tags = thin.flatMap((name) => [" ", tag(name)]);
  at("plan-thin").replaceChildren(...(thin.length > 0 ? ["Few sentences have:", ...tags] : []));
  at("start").disabled = !possible;
}

function timeOf(seconds) {
  const whole = Math.round(seconds);
  if (whole < 90) return `${whole} s`;
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

async function start() {
  quiet();
  const minutes = Number(at("budget").value);
  const body = minutes > 0 ? { budget_minutes: minutes } : {};
  try {
    follow(await call("POST", ofDomain("tunings"), { body }));
    at("running-title").focus();
  } catch (error) {
    if (error.kind === "tuning-in-progress") return follow(await call("GET", ofDomain("tunings", error.content.tuning)));
    fail(error, start);
  }
}

/** Show a tuning, and watch it while it runs. */
function follow(tuning) {
  watched?.control.abort();
  watched = null;
  display(tuning);
  if (isOver(tuning)) return;
  const control = new AbortController();
  watched = { id: tuning.id, control };
  const changed = (now) => {
    display(now);
    if (!isOver(now)) return;
    control.abort();
    ended(now);
  };
  watch(ofDomain("tunings", tuning.id), { changed, signal: control.signal }).catch((error) => fail(error));
}

/** A tuning has ended while it was watched. */
function ended({ result: found }) {
  watched = null;
  // Replicas notice a moved alias some seconds later; until then the verdict knows better.
  if (found?.outcome === "live") displayLive(found.version);
  else showLive();
  emit("version");
  call("GET", ofDomain("tunings", "plan")).then(showPlan, fail);
  // Whoever is elsewhere on the page stays there.
  if (!at("tune-step").hidden) at("outcome-title").focus();
  else tell("The tuning has ended", at("verdict").textContent);
}

function display(tuning) {
  const over = isOver(tuning);
  at("running").hidden = over;
  at("outcome").hidden = !over;
  at("start-form").hidden = !over;
  if (over) showOutcome(tuning);
  else showRunning(tuning);
}

function showRunning({ state: is, progress }) {
  const parts = [is === "waiting" ? "waiting for a place to run" : (STAGES[progress?.stage] ?? "starting")];
  if (progress?.rounds_planned > 0) parts.push(`round ${progress.rounds_done} of ${progress.rounds_planned}`);
  if (progress?.f1 != null) parts.push(`F1 so far ${progress.f1.toFixed(2)}`);
  if (progress?.seconds_left != null) parts.push(`about ${timeOf(progress.seconds_left)} left`);
  const words = parts.join(" · ");
  // Each change of a live region is read: only such as mean something.
  if (words !== said) at("running-about").textContent = said = words;
  if (progress?.rounds_planned > 0) {
    at("running-bar").max = progress.rounds_planned;
    at("running-bar").value = progress.rounds_done;
  } else at("running-bar").removeAttribute("value");
  at("curve").replaceChildren(...(progress?.curve?.length > 0 ? [curveOf(progress.curve)] : []));
}

function showOutcome({ state: is, reason, result: found, started }) {
  result = found;
  const when = new Date(started).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  at("outcome-title").textContent = `Result of ${when}`;
  const failed = is === "stopped" ? "It was stopped. The same settings later resume where it was." : `It failed: ${reason}`;
  at("verdict").textContent = found?.verdict ?? failed;
  at("figures").replaceChildren(...(found === null ? [] : partsOf(found, (id, note) => emit("go", { step: "label", ids: [id], note }))));
  at("make-live").hidden = true;
  at("live").textContent = "";
  if (watched === null) showLive();
}

/** Say which version answers now. */
async function showLive() {
  let live = null;
  try {
    live = (await call("GET", path("domains", state.domain))).prompt_version;
  } catch (error) {
    if (error.status !== 404) return fail(error);
  }
  displayLive(live);
}

function displayLive(live) {
  at("live").textContent = live === null ? "No version is live yet." : `Version ${live} is live.`;
  at("make-live").hidden = !result?.version || result.version === live;
  at("roll-back").hidden = live === null;
  at("to-try").hidden = live === null;
}

async function makeLive() {
  await move(() => call("PUT", ofDomain("alias"), { body: { version: result.version } }), makeLive);
}

async function rollBack() {
  await move(() => call("POST", ofDomain("rollback"), { body: {} }), rollBack);
}

async function move(work, again) {
  quiet();
  try {
    const { version } = await work();
    emit("version");
    displayLive(version);
    at("outcome-title").focus();
    announce(`Version ${version} is live now`);
  } catch (error) {
    fail(error, again);
  }
}

async function stop() {
  if (watched === null) return;
  try {
    const stopped = await call("DELETE", ofDomain("tunings", watched.id));
    follow(stopped);
    announce("Stopped");
  } catch (error) {
    fail(error, stop);
  }
}

async function holdOut() {
  try {
    const body = { share: Number(at("share").value) };
    const { held, test } = await call("POST", ofDomain("examples", "hold-out"), { body });
    tell(`${counted(held.length, "sentence")} held out`, `${test} in all`);
    showPlan(await call("GET", ofDomain("tunings", "plan")));
  } catch (error) {
    fail(error, holdOut);
  }
}

export function install() {
  onSend("start-form", "start", start);
  onSend("hold-out-form", "hold-out", holdOut);
  onClick("stop", stop);
  onClick("make-live", makeLive);
  onClick("roll-back", rollBack);
  onClick("to-try", () => emit("go", "try"));
  on("domain", () => {
    watched?.control.abort();
    watched = null;
    hide("running", "outcome");
    show("start-form");
  });
}
