// What the page knows of the ward: the tiles as the server last told them, and the server's time.

import { isOpen } from "./words.js";

const CATCH_UP = 0.05; // of a difference that may be but a slow network
const LEAP_MS = 1000; // a larger one is another clock

export class Ward {
  constructor() {
    /** With a title each. @type {Map<string, import("./messages.js").Tile & {title: string}>} */
    this.tiles = new Map();
    this.staleS = 3;
    /** The ward that is shown; null: all of them. @type {string|null} */
    this.only = null;
    this.trouble = "";
    /** Partitions of which nothing comes. @type {import("./messages.js").Silent[]} */
    this.silent = [];
    this.telling = 0; // kinds of places by which beds are told apart, beside their names
    this.edition = "";
    this.outdated = false; // the server has another page than this one
    this.offsetMs = 0;
    this.heard = false;
  }

  /** Take in a message; return the keys of what changed. */
  take(message) {
    this.setClock(message.now_ms);
    this.trouble = message.trouble;
    this.silent = message.silent;
    if (message.type === "snapshot") {
      this.tiles.clear();
      this.staleS = message.stale_s;
      this.edition ||= message.edition;
      this.outdated = this.edition !== message.edition;
    }
    for (const key of message.gone ?? []) this.tiles.delete(key);
    for (const tile of message.tiles) this.tiles.set(tile.key, tile);
    return this.entitle() ? [...this.tiles.keys()] : message.tiles.map((tile) => tile.key);
  }

  /** Give each tile a title that no other bed has: where there are several sites or wards, they belong to it. */
  entitle() {
    const beds = [...this.tiles.values()].filter((tile) => !tile.of_ward);
    const places = [(tile) => tile.key.split("/")[1], (tile) => tile.ward];
    const telling = places.filter((place) => new Set(beds.map(place)).size > 1);
    const others = telling.length !== this.telling;
    this.telling = telling.length;
    for (const tile of this.tiles.values()) {
      tile.title = [tile.name, ...telling.map((place) => place(tile))].filter(Boolean).join(" · ");
    }
    return others;
  }

  /** The server's time, unix ms. */
  now() {
    return performance.now() + this.offsetMs;
  }

  /** Age of a tile's values in seconds. */
  ageS(tile) {
    return tile.second === null ? Infinity : this.now() / 1000 - (tile.second + 1);
  }

  stale(tile) {
    return this.ageS(tile) > this.staleS;
  }

  /** Whether a tile belongs to what is shown; what concerns no bed always does. */
  shows(tile) {
    return this.only === null || tile.of_ward || tile.ward === this.only;
  }

  /** Names of all wards, in no order. */
  wards() {
    return [...this.tiles.values()].filter((tile) => !tile.of_ward).map((tile) => tile.ward);
  }

  /** Beds that are shown, those that need somebody most first, else by name. */
  beds() {
    return [...this.tiles.values()].filter((tile) => !tile.of_ward && this.shows(tile)).sort(byNeed);
  }

  /** Every alarm that stands where it is shown, with its tile: what needs somebody most first, then what began first. */
  alarms() {
    return this.alarmsOf((tile) => this.shows(tile));
  }

  /** Alarms of wards that are not shown, which nobody has seen to. */
  elsewhere() {
    return this.alarmsOf((tile) => !this.shows(tile)).filter(({ alarm }) => isOpen(alarm));
  }

  /** Alarms that are over of late where it is shown, each with its tile, the newest first. */
  over() {
    return [...this.tiles.values()]
      .filter((tile) => this.shows(tile))
      .flatMap((tile) => tile.over.map((alarm) => ({ tile, alarm })))
      .sort((a, b) => b.alarm.event_ms - a.alarm.event_ms);
  }

  /** Alarm of a tile, if it stands or is over of late. */
  known(key, id) {
    const tile = this.tiles.get(key);
    return tile && [...tile.alarms, ...tile.over].find((one) => one.id === id);
  }

  alarmsOf(wanted) {
    const all = [];
    for (const tile of this.tiles.values()) {
      if (wanted(tile)) for (const alarm of tile.alarms) all.push({ tile, alarm });
    }
    return all.sort((a, b) => b.alarm.need - a.alarm.need || a.alarm.onset_ms - b.alarm.onset_ms);
  }

  setClock(nowMs) {
    const offset = nowMs - performance.now();
    const ahead = offset - this.offsetMs;
    // A message is late, never early: one that says a later time knows better.
    if (!this.heard || ahead > 0 || ahead < -LEAP_MS) this.offsetMs = offset;
    else this.offsetMs += CATCH_UP * ahead;
    this.heard = true;
  }
}

const names = new Intl.Collator("en", { numeric: true });

const byNeed = (a, b) => b.need - a.need || names.compare(a.name, b.name) || names.compare(a.key, b.key);
