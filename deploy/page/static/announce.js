// What a screen reader says of new alarms: high ones at once, others when it has finished its sentence.

import { find, isOpen } from "./words.js";

export class Announcer {
  constructor() {
    /** @type {Set<string>|null} */
    this.known = null;
  }

  /** Say which alarms are new. */
  update(standing) {
    const open = standing.filter(({ alarm }) => isOpen(alarm));
    const known = this.known;
    this.known = new Set(open.map(({ alarm }) => alarm.id));
    const fresh = open.filter(({ alarm }) => !known?.has(alarm.id));
    if (known === null) {
      if (fresh.length) this.say("say-soon", [`${fresh.length} alarms stand that nobody has acknowledged`]);
      return;
    }
    const urgent = fresh.filter(({ alarm }) => alarm.priority === "high");
    const others = fresh.filter(({ alarm }) => alarm.priority !== "high");
    if (urgent.length) this.say("say-now", urgent.map(spoken));
    if (others.length) this.say("say-soon", others.map(spoken));
  }

  say(where, sentences) {
    find(where).textContent = sentences.join(". ");
  }
}

function spoken({ tile, alarm }) {
  const where = tile.of_ward ? "the ward" : tile.title;
  return `${alarm.priority} alarm, ${where}: ${alarm.condition}, ${alarm.reason}`;
}
