// What this tab remembers across a reload: the key, the place, and what was typed and not sent yet. Closing it forgets.

export function keep(name, value) {
  try {
    sessionStorage.setItem(name, JSON.stringify(value));
  } catch {
    // A full store must not keep anybody from working; the page itself still has the value.
  }
}

export function kept(name) {
  try {
    return JSON.parse(sessionStorage.getItem(name));
  } catch {
    return null;
  }
}

export function forget(name) {
  sessionStorage.removeItem(name);
}
