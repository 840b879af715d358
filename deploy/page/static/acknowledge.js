// The dialog in which somebody acknowledges an alarm under a name.

import { find, put } from "./words.js";

const LONGEST_NAME = 64;
const NAME_KEPT_MS = 120_000; // whoever comes later must not sign with somebody else's name

export class AcknowledgeDialog {
  /** @param {(said: {key: string, alarm: string, actor: string, note: string}) => boolean} send false: nobody hears */
  constructor(send) {
    this.dialog = find("acknowledge");
    this.actor = find("actor");
    this.note = find("note");
    this.about = null;
    find("acknowledge-cancel").addEventListener("click", () => this.dialog.close());
    this.dialog.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.about) return;
      const actor = this.actor.value.trim().replace(/\s+/g, "-").slice(0, LONGEST_NAME);
      if (send({ ...this.about, actor, note: this.note.value.trim() })) this.dialog.close();
      else put(find("acknowledge-problem"), "No contact with femtoward: nothing was acknowledged.");
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

  /** Ask who acknowledges an alarm. */
  ask(tile, alarm) {
    this.about = { key: tile.key, alarm: alarm.id };
    put(find("acknowledge-what"), `${alarm.words} · ${tile.of_ward ? "whole ward" : tile.title}`);
    put(find("acknowledge-why"), alarm.reason);
    put(find("acknowledge-problem"), "");
    this.note.value = "";
    this.dialog.showModal();
    (this.actor.value ? find("acknowledge-do") : this.actor).focus();
  }

  /** Say it where the alarm has ended, or somebody else was quicker, while one writes. */
  watch(ward) {
    if (!this.about) return;
    const alarm = ward.tiles.get(this.about.key)?.alarms.find((one) => one.id === this.about.alarm);
    if (!alarm) put(find("acknowledge-problem"), "This alarm has ended meanwhile.");
    else if (alarm.state === "acknowledged") {
      put(find("acknowledge-problem"), `${alarm.actor} has acknowledged it meanwhile.`);
    }
  }
}
