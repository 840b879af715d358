// Words and numbers as they are shown, and the one way in which text gets into the page.

export const NOT_MEASURED = "--";

/** @param {import("./messages.js").Value} value */
export const whole = ({ value }) => (value === null ? NOT_MEASURED : value.toFixed(0));

/** @param {import("./messages.js").Value} value */
export const tenths = ({ value }) => (value === null ? NOT_MEASURED : value.toFixed(1));

/** Standard uncertainty with its sign. */
export const plusMinus = ({ u }) => (u === null ? "" : `±${u < 9.95 ? u.toFixed(1) : u.toFixed(0)}`);

/** Age in a few characters. */
export function short(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 99.5) return `${Math.max(0, seconds).toFixed(0)} s`;
  if (seconds < 99.5 * 60) return `${(seconds / 60).toFixed(0)} min`;
  return `${(seconds / 3600).toFixed(0)} h`;
}

/** Time of day, UTC. */
export const clock = (ms) => `${new Date(ms).toISOString().slice(11, 19)}Z`;

/** How far the heart rate can be trusted in a word, or how old it is. */
export function trust(tile, ward) {
  if (tile.second === null) return "no data";
  if (ward.stale(tile)) return `stale ${short(ward.ageS(tile))}`;
  return tile.late ? "late" : tile.trust;
}

/** Set a text if it is another one: what stays the same costs nothing. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set an attribute if it is another one. */
export function mark(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Make an element with a class and, perhaps, a text. */
export function make(kind, name = "", text = "") {
  const element = document.createElement(kind);
  if (name) element.className = name;
  if (text) element.textContent = text;
  return element;
}

/** Whether nobody has seen to an alarm that stands. */
export const isOpen = ({ state }) => state === "active" || state === "latched";

export const find = (id) => document.getElementById(id);
