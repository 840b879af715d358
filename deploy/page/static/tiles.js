// A tile for each bed, as large as the room allows, in the order of need.

import { isOpen, make, mark, NOT_MEASURED, plusMinus, put, tenths, trust, whole } from "./words.js";

const GAP = 8;
const LEAST = { width: 136, height: 104 }; // below this the beds scroll
const TALLEST = 330;
const LONG = 26; // characters of an alarm that may need two lines
const SHAPE = 1.55; // width to height at which numbers are largest

export class Tiles {
  /**
   * @param {HTMLElement} list
   * @param {(key: string) => void} choose
   */
  constructor(list, choose) {
    this.list = list;
    /** @type {Map<string, Tile>} */
    this.shown = new Map();
    this.columns = 1;
    list.addEventListener("click", (event) => {
      const key = event.target.closest("button")?.dataset.key;
      if (key) choose(key);
    });
    new ResizeObserver(() => this.fit()).observe(list.parentElement);
  }

  /** Show the beds in order; those of `changed` anew, or all of them without it. */
  show(ward, chosen, changed) {
    const beds = ward.beds();
    const here = new Set(beds.map((bed) => bed.key));
    const before = this.shown.size;
    for (const [key, tile] of this.shown) {
      if (here.has(key)) continue;
      tile.item.remove();
      this.shown.delete(key);
    }
    for (const bed of beds) {
      let tile = this.shown.get(bed.key);
      if (!tile) this.shown.set(bed.key, (tile = new Tile(bed.key)));
      else if (changed && !changed.has(bed.key)) continue;
      tile.show(bed, ward);
    }
    for (const [key, tile] of this.shown) mark(tile.button, "aria-current", String(key === chosen));
    this.arrange(beds.map((bed) => this.shown.get(bed.key).item));
    if (this.shown.size !== before) this.fit();
  }

  /** Move what is out of place, and nothing else; whoever has the focus keeps it. */
  arrange(items) {
    const focused = document.activeElement;
    let place = this.list.firstElementChild;
    for (const item of items) {
      if (item === place) place = place.nextElementSibling;
      else this.list.insertBefore(item, place);
    }
    if (focused !== document.activeElement && this.list.contains(focused)) focused.focus({ preventScroll: true });
  }

  /** Choose the number of columns with which numbers are largest. */
  fit() {
    const { clientWidth: width, clientHeight: height } = this.list.parentElement;
    const n = Math.max(1, this.shown.size);
    let best = { size: 0, columns: Math.max(1, Math.floor((width + GAP) / (LEAST.width + GAP))), height: LEAST.height };
    for (let columns = 1; columns <= n; columns += 1) {
      const rows = Math.ceil(n / columns);
      const wide = (width - GAP * (columns - 1)) / columns;
      const tall = Math.min(TALLEST, Math.floor((height - GAP * (rows - 1)) / rows));
      const size = Math.min(wide / SHAPE, tall);
      if (wide >= LEAST.width && tall >= LEAST.height && size > best.size) best = { size, columns, height: tall };
    }
    this.columns = best.columns;
    this.list.style.setProperty("--columns", String(best.columns));
    this.list.style.setProperty("--height", `${best.height}px`);
  }

  /** Key of the bed that has the focus; empty: none has. */
  focused() {
    return document.activeElement?.closest?.("#tiles button")?.dataset.key ?? "";
  }

  /** Go to another bed by an arrow key; false if it is none. */
  go(arrow) {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns }[arrow];
    const items = [...this.list.children];
    if (step === undefined || !items.length) return false;
    const at = items.findIndex((item) => item.contains(document.activeElement));
    const next = at < 0 ? 0 : at + step;
    items[next]?.firstElementChild.focus();
    return true;
  }
}

class Tile {
  constructor(key) {
    this.item = make("li");
    this.button = this.item.appendChild(make("button", "tile"));
    this.button.type = "button";
    this.button.dataset.key = key;
    const top = this.button.appendChild(make("span", "top"));
    this.bed = top.appendChild(make("span", "bed"));
    this.quality = top.appendChild(make("span", "quality"));
    const rate = this.button.appendChild(make("span", "rate"));
    this.hr = rate.appendChild(make("span", "hr"));
    const side = rate.appendChild(make("span", "side"));
    side.append(make("span", "", "bpm"));
    this.u = side.appendChild(make("span", "u"));
    const more = this.button.appendChild(make("span", "more"));
    this.pulse = labelled(more, "pulse ", "");
    this.resp = labelled(more, "resp ", "");
    this.temp = labelled(more, "", " °C");
    this.band = this.button.appendChild(make("span", "band"));
    this.worst = this.band.appendChild(make("span", "worst"));
    this.rest = this.band.appendChild(make("span", "rest"));
  }

  /**
   * @param {import("./messages.js").Tile} bed
   * @param {import("./ward.js").Ward} ward
   */
  show(bed, ward) {
    const [worst, ...rest] = bed.alarms;
    const stale = ward.stale(bed);
    const trusted = trust(bed, ward);
    put(this.bed, bed.title);
    put(this.quality, trusted);
    put(this.hr, whole(bed.hr));
    put(this.u, plusMinus(bed.hr));
    put(this.pulse, whole(bed.pulse));
    put(this.resp, whole(bed.resp));
    put(this.temp, tenths(bed.temp));
    put(this.worst, bed.words);
    put(this.rest, rest.length ? ` +${rest.length}` : "");
    const length = bed.words.length + (rest.length ? 3 : 0);
    this.band.style.setProperty("--long", String(Math.max(20, length)));
    const kind = worst ? `${worst.priority} ${worst.state}` : "calm";
    mark(this.button, "class", `tile ${kind}${length > LONG ? " long" : ""}${stale ? " stale" : ""}`);
    mark(this.button, "data-need", String(bed.need));
    mark(this.button, "aria-label", spoken(bed, worst, trusted));
  }
}

function labelled(parent, before, after) {
  const holder = parent.appendChild(make("span"));
  if (before) holder.append(before);
  const value = holder.appendChild(make("b", "", NOT_MEASURED));
  if (after) holder.append(make("span", "unit", after));
  return value;
}

function spoken(bed, worst, trusted) {
  const alarm = worst ? `${worst.priority} alarm ${worst.condition}, ${isOpen(worst) ? "not acknowledged" : worst.said}. ` : "";
  const rate = bed.hr.value === null ? "heart rate not measured" : `heart rate ${whole(bed.hr)}`;
  const pulse = bed.pulse.value === null ? "" : `, pulse ${whole(bed.pulse)}`;
  const breath = bed.resp.value === null ? "" : `, breath ${whole(bed.resp)}`;
  return `${bed.title}. ${alarm}${rate}${pulse}${breath}, quality ${trusted}`;
}
