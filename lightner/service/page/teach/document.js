// The document: finding and making elements, the notice for eyes and ears. Text enters as text, never as HTML.

export const at = (id) => document.getElementById(id);

export function element(name, properties = {}, ...content) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...content);
  return made;
}

export function show(...ids) {
  for (const id of ids) at(id).hidden = false;
}

export function hide(...ids) {
  for (const id of ids) at(id).hidden = true;
}

/** Show a message until the next one; `again` gives its button a name and something to do. */
export function tell(title, detail = "", { bad = false, again = null, name = "Try again" } = {}) {
  at("notice-title").textContent = detail ? `${title}:` : title;
  at("notice-detail").textContent = detail;
  at("notice").classList.toggle("error", bad);
  at("again").hidden = again === null;
  at("again").textContent = name;
  at("again").onclick = again && (() => again());
  show("notice");
}

export function quiet() {
  hide("notice");
}

/** Say something to screen readers alone: what others see anyway. */
export function announce(text) {
  // The same text twice would be no change, and be read once.
  at("said").textContent = at("said").textContent === text ? `${text}\u00a0` : text;
}

/** Mark a button as busy while a promise is open; a busy one does nothing. */
export async function busy(id, work) {
  if (at(id).getAttribute("aria-busy") === "true") return;
  at(id).setAttribute("aria-busy", "true");
  try {
    await work();
  } finally {
    at(id).removeAttribute("aria-busy");
  }
}

/** Call `work` when a form is sent, by Enter or its button. */
export function onSend(form, button, work) {
  at(form).addEventListener("submit", (event) => {
    event.preventDefault();
    busy(button, work);
  });
}

export function onClick(id, work) {
  at(id).addEventListener("click", () => busy(id, async () => work()));
}

export const counted = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;
