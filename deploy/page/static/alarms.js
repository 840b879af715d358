// The list of alarms that stand, each with what may be done about it.

import { clock, find, make, mark, put, short } from "./words.js";

const NO_WORD = "the contact was lost before the flow answered: acknowledge again if it still stands open";

export class Alarms {
  /**
   * @param {{choose: (key: string) => void, acknowledge: (key: string, alarm: string) => void}} told
   */
  constructor(told) {
    this.list = find("alarm-list");
    this.told = told;
    /** @type {Map<string, Row>} */
    this.shown = new Map();
    /** What became of requests, by alarm. @type {Map<string, {state: string, detail: string}>} */
    this.outcomes = new Map();
  }

  /** Say what becomes of an acknowledgement; the alarm itself changes only when the flow says so. */
  outcome(alarm, outcome) {
    this.outcomes.set(alarm, outcome);
  }

  /** The contact was lost, and with it what became of what was under way. */
  forgetSent() {
    for (const [alarm, { state }] of this.outcomes) {
      if (state === "asked" || state === "sent") this.outcomes.set(alarm, { state: "waiting", detail: NO_WORD });
    }
  }

  show(ward) {
    const standing = ward.alarms();
    const here = new Set(standing.map(({ alarm }) => alarm.id));
    for (const [id, row] of this.shown) {
      if (here.has(id)) continue;
      row.item.remove();
      this.shown.delete(id);
    }
    for (const id of this.outcomes.keys()) if (!here.has(id)) this.outcomes.delete(id);
    const focused = document.activeElement;
    let place = this.list.firstElementChild;
    for (const { tile, alarm } of standing) {
      if (alarm.state === "acknowledged") this.outcomes.delete(alarm.id);
      let row = this.shown.get(alarm.id);
      if (!row) this.shown.set(alarm.id, (row = new Row(tile.key, alarm.id, this.told)));
      row.show(tile, alarm, ward, this.outcomes.get(alarm.id));
      if (row.item === place) place = place.nextElementSibling;
      else this.list.insertBefore(row.item, place);
    }
    if (focused !== document.activeElement && this.list.contains(focused)) focused.focus({ preventScroll: true });
    const open = standing.filter(({ alarm }) => alarm.state === "active").length;
    put(find("alarms-title"), standing.length ? `Alarms: ${open} open, ${standing.length - open} seen` : "Alarms");
    find("no-alarm").hidden = standing.length > 0;
  }

  /** Alarm whose row has the focus: [tile key, alarm id], or nothing. */
  focused() {
    const item = document.activeElement?.closest?.(".alarm");
    return item ? [item.dataset.key, item.dataset.alarm] : null;
  }
}

class Row {
  constructor(key, id, told) {
    this.item = make("li", "alarm");
    this.item.dataset.key = key;
    this.item.dataset.alarm = id;
    this.mark = this.item.appendChild(make("p", "mark"));
    const body = this.item.appendChild(make("div", "body"));
    this.where = body.appendChild(make("button", "where"));
    this.where.type = "button";
    this.where.addEventListener("click", () => told.choose(key));
    this.since = body.appendChild(make("span", "since"));
    this.why = body.appendChild(make("p", "why"));
    this.state = body.appendChild(make("p", "state"));
    this.ack = body.appendChild(make("button", "ack", "Acknowledge"));
    this.ack.type = "button";
    this.ack.addEventListener("click", () => told.acknowledge(key, id));
  }

  show(tile, alarm, ward, outcome) {
    const seen = alarm.state === "acknowledged";
    mark(this.item, "class", `alarm ${alarm.priority} ${alarm.state}`);
    put(this.mark, alarm.words);
    put(this.where, tile.of_ward ? "whole ward" : tile.title);
    this.where.disabled = tile.of_ward;
    put(this.since, `${clock(alarm.onset_ms)} · ${short((ward.now() - alarm.onset_ms) / 1000)}`);
    put(this.why, seen ? "" : alarm.reason);
    put(this.state, seen ? `seen by ${alarm.actor}${alarm.note ? `: ${alarm.note}` : ""}` : told(outcome));
    this.why.hidden = seen;
    this.state.hidden = !seen && !outcome;
    this.ack.hidden = seen || outcome?.state === "sent" || outcome?.state === "asked";
    mark(this.ack, "aria-label", `Acknowledge ${alarm.condition} of ${tile.of_ward ? "the ward" : tile.title}`);
  }
}

/** What became of an acknowledgement, in words. */
function told(outcome) {
  if (!outcome) return "";
  if (outcome.state === "asked") return "sending …";
  if (outcome.state === "sent") return "sent; waiting for the flow …";
  if (outcome.state === "done") return "done";
  return outcome.state === "waiting" ? outcome.detail : `not acknowledged: ${outcome.detail}`;
}
