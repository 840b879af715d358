// The alarm signal that can be heard, by priority as IEC 60601-1-8 has it: high ten pulses, medium three, low two.
//
// Pulses have a fundamental of 150 to 1000 Hz and harmonics up to 4 kHz, so that small loudspeakers and old ears have
// something to go by. It is driven by what the server says, several times a second, and by a timer while it says nothing:
// browsers slow down the timers of a page in the background, but not its messages.
//
// Every burst that is really played is told to the document as the event `femtoward:sound`.

import { keep, kept } from "./kept.js";

const C4 = 261.6;
const E4 = 329.6;
const G4 = 392.0;
const C5 = 523.3;
const BURSTS = {
  high: {
    // Twice c e g - g c, the second time after a short pause; times in seconds.
    tones: [C4, E4, G4, G4, C5, C4, E4, G4, G4, C5],
    starts: [0, 0.25, 0.5, 0.9, 1.15, 1.9, 2.15, 2.4, 2.8, 3.05],
    lasts: 0.15,
    pause: 5,
  },
  medium: { tones: [C4, E4, G4], starts: [0, 0.4, 0.8], lasts: 0.2, pause: 10 },
  low: { tones: [E4, C4], starts: [0, 0.4], lasts: 0.2, pause: 20 },
};
const RANKS = ["high", "medium", "low"];
const HARMONICS = [0, 1, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3];
const EDGE_S = 0.02; // a pulse rises and falls so fast
const LOUD = 0.35;
const RESUME_MS = 1000; // a browser that wants a touch first never answers

export class Sound {
  /** @param {(on: boolean) => void} changed */
  constructor(changed) {
    this.changed = changed;
    this.wanted = false;
    this.context = null;
    this.burst = null; // {priority, gain, nextS}
    /** Alarms that have been heard. @type {Set<string>} */
    this.heard = new Set();
    document.documentElement.dataset.sounding = "none";
    this.tell();
    if (kept("sound") !== "on") return;
    // It was on before this page was loaded again. Where the browser wants a touch first, any will do.
    this.toggle();
    const touched = (event) => {
      const own = event.key?.toLowerCase() === "s" || event.target.closest?.("#sound");
      if (this.wanted && !own) this.context.resume();
    };
    for (const touch of ["pointerup", "keyup"]) addEventListener(touch, touched);
  }

  /** Whether anything can be heard. */
  get on() {
    return this.wanted && this.context?.state === "running";
  }

  /** Turn it on or off; browsers allow the first only when somebody has touched the page. */
  async toggle() {
    this.wanted = !this.on;
    keep("sound", this.wanted ? "on" : "off");
    if (this.wanted && !this.context) {
      this.context = new AudioContext();
      this.wave = this.context.createPeriodicWave(
        Float32Array.from(HARMONICS, () => 0),
        Float32Array.from(HARMONICS),
      );
      this.context.addEventListener("statechange", () => this.tell());
    }
    if (this.wanted) await Promise.race([this.context.resume(), wait(RESUME_MS)]);
    else this.hush();
    this.tell();
    this.update(this.alarms ?? []);
  }

  /**
   * Let be heard what nobody has acknowledged.
   * @param {{id: string, priority: "high"|"medium"|"low"}[]} alarms
   */
  update(alarms) {
    this.alarms = alarms;
    const worst = RANKS.find((rank) => alarms.some((alarm) => alarm.priority === rank));
    document.documentElement.dataset.sounding = worst ?? "none";
    const ids = new Set(alarms.map((alarm) => alarm.id));
    for (const id of this.heard) if (!ids.has(id)) this.heard.delete(id);
    if (!worst || !this.on) {
      this.hush();
      return;
    }
    const fresh = alarms.some((alarm) => alarm.priority === worst && !this.heard.has(alarm.id));
    if (fresh || this.burst?.priority !== worst || this.context.currentTime >= this.burst.nextS) this.play(worst, alarms);
  }

  play(priority, alarms) {
    this.hush();
    const { tones, starts, lasts, pause } = BURSTS[priority];
    const gain = this.context.createGain();
    gain.connect(this.context.destination);
    const begin = this.context.currentTime + 0.02;
    tones.forEach((tone, i) => this.pulse(gain, tone, begin + starts[i], lasts));
    this.burst = { priority, gain, nextS: begin + starts.at(-1) + lasts + pause };
    for (const alarm of alarms) this.heard.add(alarm.id);
    const detail = { priority, pulses: tones.length, alarms: alarms.map((alarm) => alarm.id), atMs: Date.now() };
    document.dispatchEvent(new CustomEvent("femtoward:sound", { detail }));
  }

  pulse(out, tone, at, lasts) {
    const source = this.context.createOscillator();
    const envelope = this.context.createGain();
    source.setPeriodicWave(this.wave);
    source.frequency.value = tone;
    envelope.gain.setValueAtTime(0, at);
    envelope.gain.linearRampToValueAtTime(LOUD, at + EDGE_S);
    envelope.gain.setValueAtTime(LOUD, at + lasts - EDGE_S);
    envelope.gain.linearRampToValueAtTime(0, at + lasts);
    source.connect(envelope).connect(out);
    source.start(at);
    source.stop(at + lasts);
  }

  hush() {
    this.burst?.gain.disconnect();
    this.burst = null;
  }

  tell() {
    document.documentElement.dataset.sound = this.on ? "on" : "off";
    this.changed(this.on);
  }
}

const wait = (ms) => new Promise((done) => setTimeout(done, ms));
