// The WebSocket to the server: a sign of life is due all the time, and what is lost is tried again, with jitter.

import { seen } from "./messages.js";

const LOST_AFTER_MS = 3000; // without a message; the server sends one twice a second
const GIVE_UP_AFTER_MS = 6000; // a connection on which nothing comes is no connection
const LOOK_EVERY_MS = 250;
const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 4000;

export class Connection {
  /**
   * @param {string} url
   * @param {{message: (message: object) => void, lost: (sinceMs: number) => void, back: () => void}} told
   */
  constructor(url, told) {
    this.url = url;
    this.told = told;
    this.lost = false;
    this.heardAt = performance.now();
    this.wait = FIRST_WAIT_MS;
    this.socket = null;
    this.timer = 0;
    this.open();
    setInterval(() => this.look(), LOOK_EVERY_MS);
    for (const event of ["online", "pageshow"]) addEventListener(event, () => this.retryNow());
  }

  /** Whether what is said now is heard. */
  get up() {
    return !this.lost && this.socket?.readyState === WebSocket.OPEN;
  }

  /** Say something; false if nobody hears it. */
  say(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  open() {
    clearTimeout(this.timer);
    this.timer = 0;
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.openedAt = performance.now();
    socket.onmessage = (event) => {
      if (socket === this.socket) this.hear(JSON.parse(event.data));
    };
    socket.onclose = () => {
      if (socket === this.socket) this.retry();
    };
  }

  hear(message) {
    this.heardAt = performance.now();
    this.wait = FIRST_WAIT_MS;
    this.told.message(message);
    this.say(seen(message.n));
    if (this.lost) {
      this.lost = false;
      this.told.back();
    }
  }

  retry() {
    this.socket = null;
    if (this.timer) return;
    this.timer = setTimeout(() => this.open(), this.wait * (0.5 + Math.random()));
    this.wait = Math.min(2 * this.wait, LONGEST_WAIT_MS);
  }

  retryNow() {
    if (this.socket === null) this.open();
  }

  look() {
    const now = performance.now();
    if (now - this.heardAt > LOST_AFTER_MS && !this.lost) {
      this.lost = true;
      this.told.lost(Date.now() - (now - this.heardAt));
    }
    if (this.socket && now - Math.max(this.heardAt, this.openedAt) > GIVE_UP_AFTER_MS) {
      const silent = this.socket;
      this.retry();
      silent.close();
    }
  }
}
