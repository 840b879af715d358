// The chosen bed: its numbers in words and figures, and what its waveform lacks.

import { find, make, mark, plusMinus, put, short, tenths, trust, whole } from "./words.js";

const FIGURES = [
  ["HR", "bpm", "hr", whole],
  ["pulse", "bpm", "pulse", whole],
  ["breath", "/min", "resp", whole],
  ["skin", "°C", "temp", tenths],
  ["RMSSD", "ms", "rmssd", whole],
  ["AF", "%", "af", whole],
  ["PVC", "/min", "pvc", whole],
  ["QT", "ms", "qt", whole, true], // shown only where there is one
  ["QTc", "ms", "qtc", whole, true],
  ["transit", "ms", "transit", whole, true],
  ["LF", "ms²", "lf", whole, true],
  ["HF", "ms²", "hf", whole, true],
  ["pNN50", "%", "pnn50", whole, true],
  ["alpha", "%", "alpha", whole, true],
  ["beta", "%", "beta", whole, true],
  ["spikes", "/min", "spikes", whole, true],
  ["NEWS2 trend", "/h", "trend", tenths, true],
];
const SILENT_S = 3.5; // without a new second of the waveform: one takes about one and a half to be here

export class Chosen {
  constructor() {
    this.cells = FIGURES.map(([name, unit, field, shown, rare = false]) => {
      const group = find("figures").appendChild(make("div"));
      group.append(make("dt", "", `${name} ${unit}`));
      const cell = group.appendChild(make("dd"));
      const value = cell.appendChild(make("span"));
      const rest = cell.appendChild(make("small"));
      return { group, value, rest, field, shown, rare };
    });
    find("figures").hidden = true;
  }

  /**
   * @param {import("./messages.js").Tile|undefined} bed
   * @param {import("./ward.js").Ward} ward
   * @param {number} edge end of the waveform that has come, unix s
   */
  show(bed, ward, edge) {
    find("figures").hidden = !bed;
    if (!bed) {
      put(find("chosen-name"), "No bed chosen");
      put(find("chosen-state"), "Choose a bed to see its waveform.");
      put(find("no-wave"), "");
      mark(find("trace"), "aria-label", "No waveform");
      mark(find("chosen"), "class", "");
      return;
    }
    const stale = ward.stale(bed);
    put(find("chosen-name"), bed.name === bed.patient ? bed.title : `${bed.title} · ${bed.patient}`);
    const why = bed.reason ? ` (${bed.reason})` : "";
    const from = bed.source === "none" ? "no heart rate" : `heart rate from ${bed.source}`;
    put(find("chosen-state"), stale ? trust(bed, ward) : `signal ${bed.signal}${why}, ${from}`);
    for (const { group, value, rest, field, shown, rare } of this.cells) {
      group.hidden = rare && bed[field].value === null;
      put(value, shown(bed[field]));
      put(rest, ` ${plusMinus(bed[field])}`);
    }
    mark(find("chosen"), "class", stale ? "stale" : "");
    const silentS = ward.now() / 1000 - edge;
    const missing = edge === -Infinity ? "no waveform yet" : silentS > SILENT_S ? `no waveform for ${short(silentS)}` : "";
    put(find("no-wave"), missing);
    mark(find("trace"), "aria-label", missing || `Waveform of ${bed.title}, running`);
  }
}
