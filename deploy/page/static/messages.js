// What the page and its server say to each other; the server's side stands in messages.py.

/**
 * @typedef {{value: number|null, u: number|null}} Value
 * @typedef {{id: string, condition: string, category: "physiological"|"technical", priority: "high"|"medium"|"low",
 *   state: "active"|"acknowledged"|"latched"|"shelved"|"ended"|"retracted"|"missed", onset_ms: number, event_ms: number,
 *   need: number, words: string, said: string, reason: string, occurrences: number, level: number, until_ms: number, shelve_s: number,
 *   mark: ""|"true"|"false"}} Alarm
 * @typedef {{key: string, name: string, patient: string, ward: string, of_ward: boolean, need: number, words: string, second: number|null,
 *   hr: Value, pulse: Value, temp: Value, resp: Value, rmssd: Value, af: Value, pvc: Value,
 *   pnn50: Value, lf: Value, hf: Value, qt: Value, qtc: Value, transit: Value,
 *   alpha: Value, beta: Value, spikes: Value, trend: Value,
 *   trust: string, signal: string, reason: string, source: string,
 *   late: boolean, alarms: Alarm[], over: Alarm[]}} Tile
 * @typedef {{key: string, second: number, stream: string, unit: string, scale: number, rate_hz: number,
 *   counts: number[]}} Second
 * @typedef {{request: string, state: "refused"|"sent"|"done"|"failed"|"waiting", detail: string}} Outcome
 * @typedef {{partition: string, since_ms: number}} Silent
 * @typedef {{type: "snapshot", n: number, now_ms: number, edition: string, stale_s: number, trouble: string,
 *   silent: Silent[], tiles: Tile[]}} Snapshot
 * @typedef {{type: "changes", n: number, now_ms: number, trouble: string, silent: Silent[], tiles: Tile[],
 *   gone: string[], seconds: Second[], outcomes: Outcome[]}} Changes
 */

/** @param {number} n */
export const seen = (n) => ({ type: "seen", n });

/** @param {string} key of a tile; empty: none */
export const choose = (key) => ({ type: "choose", key });

// What somebody says of an alarm is made in act.js: {type: "acknowledge"|"shelve"|"unshelve"|"comment"|"mark", request, key,
// alarm, actor, note}, with `seconds` where it is shelved and `was` where it is marked.
