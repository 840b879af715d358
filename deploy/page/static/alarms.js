// The list of alarms that stand, and of those that are over of late, each with what may be done about it.

import { mayDo } from "./act.js";
import { clock, find, isOpen, make, mark, put, short } from "./words.js";

const NO_WORD = "the contact was lost before the flow answered: try again if it is not done";
const OVER_SHOWN = 20;

export class Alarms {
  /**
   * @param {{choose: (key: string) => void, act: (key: string, alarm: string) => void}} told
   */
  constructor(told) {
    this.standing = new List(find("alarm-list"), told);
    this.over = new List(find("over-list"), told);
    /** What became of requests, by alarm. @type {Map<string, {state: string, detail: string}>} */
    this.outcomes = new Map();
    /** What each alarm was when something was asked of it. @type {Map<string, string>} */
    this.before = new Map();
  }

  /** Something is asked of an alarm; the alarm itself changes only when the flow says so. */
  asked(alarm) {
    this.before.set(alarm.id, toldOf(alarm));
    this.outcome(alarm.id, { state: "asked", detail: "" });
  }

  /** Say what becomes of a request. */
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
    const over = ward.over().slice(0, OVER_SHOWN);
    this.forgetDone([...standing, ...over]);
    this.standing.show(standing, ward, this.outcomes);
    this.over.show(over, ward, this.outcomes);
    const open = standing.filter(({ alarm }) => isOpen(alarm)).length;
    put(find("alarms-title"), standing.length ? `Alarms: ${open} open, ${standing.length - open} seen` : "Alarms");
    find("no-alarm").hidden = standing.length > 0;
    find("over").hidden = over.length === 0;
    put(find("over-title"), `Over of late: ${over.length}`);
  }

  /** What became of a request need not be said any more once it shows, or once the alarm is gone. */
  forgetDone(shown) {
    const now = new Map(shown.map(({ alarm }) => [alarm.id, toldOf(alarm)]));
    for (const [id, before] of this.before) {
      if (before === now.get(id)) continue;
      this.outcomes.delete(id);
      this.before.delete(id);
    }
  }

  /** Alarm whose row has the focus: [tile key, alarm id], or nothing. */
  focused() {
    const item = document.activeElement?.closest?.(".alarm");
    return item ? [item.dataset.key, item.dataset.alarm] : null;
  }
}

class List {
  constructor(list, told) {
    this.list = list;
    this.told = told;
    /** @type {Map<string, Row>} */
    this.shown = new Map();
  }

  /** Show rows in order; those that stay keep the focus. */
  show(wanted, ward, outcomes) {
    const here = new Set(wanted.map(({ alarm }) => alarm.id));
    for (const [id, row] of this.shown) {
      if (here.has(id)) continue;
      row.item.remove();
      this.shown.delete(id);
    }
    const focused = document.activeElement;
    let place = this.list.firstElementChild;
    for (const { tile, alarm } of wanted) {
      let row = this.shown.get(alarm.id);
      if (!row) this.shown.set(alarm.id, (row = new Row(tile.key, alarm.id, this.told)));
      row.show(tile, alarm, ward, outcomes.get(alarm.id));
      if (row.item === place) place = place.nextElementSibling;
      else this.list.insertBefore(row.item, place);
    }
    if (focused !== document.activeElement && this.list.contains(focused)) focused.focus({ preventScroll: true });
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
    const does = body.appendChild(make("div", "does"));
    this.ack = does.appendChild(make("button", "ack", "Acknowledge"));
    this.more = does.appendChild(make("button", "more", "More"));
    for (const button of [this.ack, this.more]) {
      button.type = "button";
      button.addEventListener("click", () => told.act(key, id));
    }
  }

  show(tile, alarm, ward, outcome) {
    const where = tile.of_ward ? "the ward" : tile.title;
    const under = outcome?.state === "sent" || outcome?.state === "asked";
    mark(this.item, "class", `alarm ${alarm.priority} ${alarm.state}`);
    put(this.mark, alarm.words);
    put(this.where, tile.of_ward ? "whole ward" : tile.title);
    this.where.disabled = tile.of_ward;
    put(this.since, `${clock(alarm.onset_ms)} · ${short((ward.now() - alarm.onset_ms) / 1000)}`);
    put(this.why, isOpen(alarm) ? alarm.reason : "");
    put(this.state, [alarm.said, told(outcome)].filter(Boolean).join(" · "));
    this.why.hidden = !isOpen(alarm);
    this.state.hidden = !this.state.textContent;
    this.ack.hidden = under || !mayDo(alarm).includes("acknowledge");
    this.more.hidden = under;
    put(this.more, this.ack.hidden ? does(alarm) : "More");
    mark(this.ack, "aria-label", `Acknowledge ${alarm.condition} of ${where}`);
    mark(this.more, "aria-label", `More on ${alarm.condition} of ${where}`);
  }
}

/** What "More" is, where it stands alone. */
const does = ({ state }) => ({ acknowledged: "Shelve, mark, comment", shelved: "Unshelve, mark, comment" })[state] ?? "Mark, comment";

const toldOf = (alarm) => `${alarm.state}: ${alarm.said}`;

/** What became of a request, in words. */
function told(outcome) {
  if (!outcome) return "";
  if (outcome.state === "asked") return "sending …";
  if (outcome.state === "sent") return "sent; waiting for the flow …";
  if (outcome.state === "done") return outcome.detail || "done";
  return outcome.state === "waiting" ? outcome.detail : `not done: ${outcome.detail}`;
}
