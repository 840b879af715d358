// Which ward this screen shows. It stands in the address, for a screen that is to show it from the start, and is kept.

import { keep, kept } from "./kept.js";
import { find, make } from "./words.js";

const ALL = "all"; // values of the list: this one, or "=" and the name of a ward

export class Wards {
  /** @param {(only: string|null) => void} chosen a ward, which may have no name; null: all of them */
  constructor(chosen) {
    this.list = find("wards");
    this.chosen = chosen;
    this.offered = "";
    this.only = inAddress() ?? kept("ward");
    address(this.only);
    this.list.addEventListener("change", () => this.choose(this.list.value === ALL ? null : this.list.value.slice(1)));
    addEventListener("hashchange", () => {
      if (inAddress() !== null || !location.hash) this.choose(inAddress());
    });
  }

  choose(only) {
    this.only = only;
    keep("ward", only);
    address(only);
    this.list.value = valueOf(only);
    this.chosen(only);
  }

  /** Offer the wards that there are; where there is but one, nothing is to be chosen. */
  offer(names) {
    const every = [...new Set(this.only === null ? names : [...names, this.only])].sort(order.compare);
    find("of-wards").hidden = every.length < 2;
    const offered = JSON.stringify(every);
    if (offered === this.offered) return;
    this.offered = offered;
    this.list.replaceChildren(option(null, "all"), ...every.map((name) => option(name, name || "no ward")));
    this.list.value = valueOf(this.only);
  }
}

const order = new Intl.Collator("en", { numeric: true });
const valueOf = (only) => (only === null ? ALL : `=${only}`);
const inAddress = () => new URLSearchParams(location.hash.slice(1)).get("ward");

function address(only) {
  const { pathname, search } = location;
  history.replaceState(null, "", only === null ? pathname + search : `#ward=${encodeURIComponent(only)}`);
}

function option(only, text) {
  const one = make("option", "", text);
  one.value = valueOf(only);
  return one;
}
