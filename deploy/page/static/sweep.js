// The waveform of the chosen bed: it runs from left to right at 25 mm/s behind an erasing bar, as on a monitor.
//
// Seconds come once a second; the trace runs smoothly all the same, because it is drawn a little more than a second
// later. How much later follows from how late the seconds came: the clock of the trace is drawn towards it slowly.

import { find, put } from "./words.js";

const MM = 96 / 25.4; // CSS pixels
const PX_PER_S = 25 * MM;
const SPARE_S = 1.2; // from the arrival of a second to the end of its drawing: the next one comes meanwhile
const KEPT_S = 40;
const BAR_S = 0.3;
const PULL = 0.05; // seconds per second by which the trace may run slower or faster
const LEAP_S = 2.5; // a clock that is further off is set
const LATENESS_OF = 12; // seconds by which the delay is judged
const FULL = 0.8; // of the height that beats take when a scale is chosen
const EDGE = 0.04; // of the height that stays free above and below, or another scale is chosen at once
const SMALL = 0.35; // of the height, below which beats are drawn larger at the next sweep
const DECAY = 0.985; // per second: a heart that stops shows as a flat line, not as noise drawn large
const SCALES = [1, 1.5, 2, 3, 5, 7]; // units on 10 mm, and their tenfold

export class Sweep {
  constructor() {
    this.canvas = find("trace");
    this.paper = find("grid");
    this.context = this.canvas.getContext("2d");
    this.reset();
    new ResizeObserver(() => this.resize()).observe(this.canvas.parentElement);
    this.resize();
  }

  /** Begin with another bed. */
  reset() {
    /** Values by second. @type {Map<number, Float32Array>} */
    this.seconds = new Map();
    this.lateness = []; // data time less page time at the arrival of each second
    this.history = false; // what came last was history
    this.offset = null; // data time less page time of what is drawn now
    this.edge = -Infinity; // end of what has come
    this.drawn = null; // data time up to which the trace is drawn
    this.high = 0; // of the beats, in the unit of the waveform
    this.low = 0;
    this.gain = 0; // pixels per unit
    this.zero = 0; // where nought is, in pixels from the top
    this.unit = "";
    this.stream = "";
    this.rate = 125;
    if (this.width) this.clear();
    put(find("scale"), "");
  }

  /** @param {import("./messages.js").Second} second */
  add(second) {
    const values = Float32Array.from(second.counts, (count) => count * second.scale);
    this.seconds.set(second.second, values);
    for (const key of this.seconds.keys()) if (key < second.second - KEPT_S) this.seconds.delete(key);
    this.high = values.reduce((most, value) => Math.max(most, value), this.high * DECAY);
    this.low = values.reduce((least, value) => Math.min(least, value), this.low * DECAY);
    this.rate = second.rate_hz;
    this.unit = second.unit;
    this.stream = second.stream;
    if (second.second + 1 <= this.edge) return;
    this.edge = second.second + 1;
    this.lateness.push(this.edge - performance.now() / 1000);
    if (this.lateness.length > LATENESS_OF) this.lateness.shift();
    if (!this.gain || this.y(this.high) < EDGE * this.height || this.y(this.low) > (1 - EDGE) * this.height) this.rescale();
  }

  /** Several at once are history, and have waited: the next one tells better how late they come. */
  addAll(seconds) {
    if (this.history) this.lateness = [];
    for (const second of seconds) this.add(second);
    this.history = seconds.length > 1;
    if (this.history) this.lateness = this.lateness.slice(-1);
  }

  /** Draw what is due; called for every frame. */
  frame(nowMs) {
    if (this.edge === -Infinity || !this.width) return;
    const now = nowMs / 1000;
    const wanted = Math.min(...this.lateness) - SPARE_S;
    if (this.offset === null || Math.abs(wanted - this.offset) > LEAP_S) {
      this.offset = wanted;
      this.frameAt = now;
      this.redraw(now + wanted);
      return;
    }
    const most = PULL * Math.min(0.25, now - this.frameAt);
    this.offset += Math.max(-most, Math.min(most, wanted - this.offset));
    this.frameAt = now;
    const head = Math.min(now + this.offset, this.edge);
    if (head - this.drawn > KEPT_S) this.redraw(head);
    else if (head > this.drawn) this.advance(head);
  }

  advance(head) {
    const turns = Math.floor(head / this.spanS) > Math.floor(this.drawn / this.spanS);
    if (turns && (this.high - this.low) * this.gain < SMALL * this.height && this.rescale()) return;
    this.erase(this.drawn, head + BAR_S);
    this.stroke(this.drawn, head);
    this.drawn = head;
  }

  /** Draw everything that is to be seen anew. */
  redraw(head = this.drawn) {
    if (head === null || this.edge === -Infinity) return;
    this.clear();
    this.drawn = head;
    this.stroke(head - this.spanS + BAR_S, head);
  }

  stroke(from, to) {
    const { context, rate } = this;
    const step = 1 / rate;
    context.beginPath();
    let pen = false;
    let before = 0;
    // One sample before the first new one, so that the line has no breaks.
    for (let i = Math.ceil(from * rate) - 1; i * step <= to; i += 1) {
      const value = this.at(i);
      const x = this.x(i * step);
      if (value === undefined || x < before) pen = false; // a hole, or the right edge
      before = x;
      if (value === undefined) continue;
      const y = this.y(value);
      if (pen) context.lineTo(x, y);
      else context.moveTo(x, y);
      pen = true;
    }
    context.stroke();
  }

  /** Wipe from one data time to another. */
  erase(from, to) {
    const a = this.x(from) + 1.5;
    const wide = Math.min(this.width, (to - from) * PX_PER_S);
    this.context.clearRect(a, 0, wide, this.height);
    if (a + wide > this.width) this.context.clearRect(0, 0, a + wide - this.width, this.height);
  }

  clear() {
    this.context.clearRect(0, 0, this.width, this.height);
  }

  /** @param {number} i number of a sample since 1970 */
  at(i) {
    const second = Math.floor(i / this.rate);
    return this.seconds.get(second)?.[i - second * this.rate];
  }

  x(time) {
    return (time % this.spanS) * PX_PER_S;
  }

  y(value) {
    return this.zero - value * this.gain;
  }

  /** Choose a scale by which beats fit, whichever way they point; whether it is another one. */
  rescale() {
    const range = this.high - this.low;
    if (!this.height || !(range > 0)) return false;
    const per10mm = roundUp((10 * MM * range) / (FULL * this.height));
    const gain = (10 * MM) / per10mm;
    const zero = Math.round(0.5 * this.height + 0.5 * gain * (this.high + this.low));
    put(find("scale"), `${this.stream} · 25 mm/s · 10 mm = ${per10mm} ${this.unit}`);
    if (gain === this.gain && zero === this.zero) return false;
    this.gain = gain;
    this.zero = zero;
    this.redraw();
    return true;
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    const ratio = devicePixelRatio || 1;
    this.width = clientWidth;
    this.height = clientHeight;
    this.spanS = clientWidth / PX_PER_S;
    for (const canvas of [this.canvas, this.paper]) {
      canvas.width = Math.round(clientWidth * ratio);
      canvas.height = Math.round(clientHeight * ratio);
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.gain = 0;
    this.dress();
    this.rescale();
  }

  /** Take up the colours of the theme. */
  dress() {
    const style = getComputedStyle(document.documentElement);
    Object.assign(this.context, {
      strokeStyle: style.getPropertyValue("--wave"),
      lineWidth: 2,
      lineJoin: "round",
      lineCap: "round",
    });
    this.rule(style.getPropertyValue("--paper"), 1);
    this.rule(style.getPropertyValue("--paper-strong"), 5);
    this.redraw();
  }

  /** Millimetre paper. */
  rule(colour, everyMm) {
    const context = this.paper.getContext("2d");
    if (everyMm === 1) context.clearRect(0, 0, this.width, this.height);
    context.beginPath();
    for (let x = 0; x < this.width; x += everyMm * MM) {
      context.moveTo(Math.round(x) + 0.5, 0);
      context.lineTo(Math.round(x) + 0.5, this.height);
    }
    for (let y = (0.5 * this.height) % (everyMm * MM); y < this.height; y += everyMm * MM) {
      context.moveTo(0, Math.round(y) + 0.5);
      context.lineTo(this.width, Math.round(y) + 0.5);
    }
    Object.assign(context, { strokeStyle: colour, lineWidth: 1 });
    context.stroke();
  }
}

/** The next scale above a number. */
function roundUp(x) {
  const decade = 10 ** Math.floor(Math.log10(x));
  const scale = SCALES.find((one) => one * decade >= x) ?? 10;
  return Number((scale * decade).toPrecision(2));
}
