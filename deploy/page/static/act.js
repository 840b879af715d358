// The dialog in which somebody says something of an alarm under a name: acknowledges, shelves, comments or marks it.

import { clock, find, put } from "./words.js";

const LONGEST_NAME = 64;
const USUAL_MIN = 15; // for which something is shelved
const NAME_KEPT_MS = 120_000; // whoever comes later must not sign with somebody else's name

/** What may be done with an alarm in each state. */
const MAY = {
  active: ["acknowledge", "shelve", "comment", "true", "false"],
  latched: ["acknowledge", "comment", "true", "false"],
  acknowledged: ["shelve", "comment", "true", "false"],
  shelved: ["unshelve", "comment", "true", "false"],
};
const OVER = ["true", "false", "comment"];
/** What the button says that does it, and how it is sent. */
const DEEDS = {
  acknowledge: ["Acknowledge", () => ({ type: "acknowledge" })],
  shelve: ["Shelve", () => ({ type: "shelve", seconds: 60 * Number(find("act-minutes").value) })],
  unshelve: ["Unshelve", () => ({ type: "unshelve" })],
  comment: ["Comment", () => ({ type: "comment" })],
  true: ["Mark as true", () => ({ type: "mark", was: "true" })],
  false: ["Mark as false", () => ({ type: "mark", was: "false" })],
};

export const mayDo = (alarm) => MAY[alarm.state] ?? OVER;

export class ActDialog {
  /** @param {(said: object) => boolean} send false: nobody hears */
  constructor(send) {
    this.dialog = find("act");
    this.form = this.dialog.querySelector("form");
    this.actor = find("actor");
    this.note = find("note");
    this.about = null;
    find("act-cancel").addEventListener("click", () => this.dialog.close());
    this.form.addEventListener("change", () => this.dress());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.about) return;
      const actor = this.actor.value.trim().replace(/\s+/g, "-").slice(0, LONGEST_NAME);
      const [, said] = DEEDS[this.deed];
      if (send({ ...said(), ...this.about, actor, note: this.note.value.trim() })) this.dialog.close();
      else put(find("act-problem"), "No contact with femtoward: nothing was done.");
    });
    this.dialog.addEventListener("close", () => {
      this.about = null;
      clearTimeout(this.forgetting);
      this.forgetting = setTimeout(() => {
        if (!this.open) this.actor.value = "";
      }, NAME_KEPT_MS);
    });
  }

  get open() {
    return this.dialog.open;
  }

  /** What is chosen to be done. */
  get deed() {
    return this.form.elements.deed.value;
  }

  /** Ask who does what with an alarm; what is likeliest is chosen. */
  ask(tile, alarm) {
    const may = mayDo(alarm);
    this.about = { key: tile.key, alarm: alarm.id };
    put(find("act-what"), `${alarm.words} · ${tile.of_ward ? "whole ward" : tile.title}`);
    put(find("act-why"), [`${clock(alarm.onset_ms)}: ${alarm.reason}`, alarm.said].filter(Boolean).join(" · "));
    put(find("act-problem"), "");
    for (const choice of this.form.querySelectorAll("[name=deed]")) {
      choice.parentElement.hidden = !may.includes(choice.value);
      choice.checked = choice.value === may[0];
    }
    for (const choice of find("act-minutes").options) {
      choice.disabled = choice.hidden = 60 * Number(choice.value) > alarm.shelve_s;
      choice.selected = !choice.disabled && Number(choice.value) <= USUAL_MIN;
    }
    this.note.value = "";
    this.dress();
    this.dialog.showModal();
    (this.actor.value ? find("act-do") : this.actor).focus();
  }

  /** Show what belongs to what is chosen. */
  dress() {
    const [label] = DEEDS[this.deed];
    put(find("act-do"), label);
    put(find("act-title"), label);
    find("act-for").hidden = this.deed !== "shelve";
    this.note.required = this.deed === "comment";
    put(find("note-may"), this.note.required ? "" : "(may stay empty)");
  }

  /** Say it where the alarm is over, or somebody else was quicker, while one writes. */
  watch(ward) {
    if (!this.about || this.deed !== "acknowledge") return;
    const alarm = ward.tiles.get(this.about.key)?.alarms.find((one) => one.id === this.about.alarm);
    if (!alarm) put(find("act-problem"), "This alarm has ended meanwhile.");
    else if (!mayDo(alarm).includes("acknowledge")) put(find("act-problem"), `Meanwhile: ${alarm.said}.`);
  }
}
