// The ward page: messages come in, the parts show them; everything is drawn at most once in a frame.

import { ActDialog } from "./act.js";
import { Alarms } from "./alarms.js";
import { Announcer } from "./announce.js";
import { Chosen } from "./chosen.js";
import { Connection } from "./connection.js";
import { keep } from "./kept.js";
import { listenToKeys } from "./keys.js";
import { choose } from "./messages.js";
import { Sound } from "./sound.js";
import { Sweep } from "./sweep.js";
import { Tiles } from "./tiles.js";
import { Ward } from "./ward.js";
import { Wards } from "./wards.js";
import { clock, find, isOpen, put, short } from "./words.js";

const AGES_EVERY_MS = 1000;
const SOUND_EVERY_MS = 500;
// No longer to hear of alarms is an alarm.
const LOST_CONTACT = { id: "page-lost-contact", priority: "medium" };
const nothingFrom = ({ partition }) => ({ id: `page-nothing-from-${partition}`, priority: "medium" });

const ward = new Ward();
const wards = new Wards(showWard);
ward.only = wards.only;
const sweep = new Sweep();
const tiles = new Tiles(find("tiles"), chooseBed);
const chosenBed = new Chosen();
const announcer = new Announcer();
const sound = new Sound((on) => {
  put(find("sound"), on ? "Sound is on" : "Sound is off: turn on");
  find("sound").setAttribute("aria-pressed", String(on));
});
const alarms = new Alarms({ choose: chooseBed, act: ask });
const dialog = new ActDialog(send);
/** Alarm by request. @type {Map<string, string>} */
const requests = new Map();
/** Keys of tiles to be shown anew; null: all of them. @type {Set<string>|null} */
let changed = new Set();
let due = false;
let chosen = "";
let ticked = 0;

const connection = new Connection(new URL("live", location.href).href.replace(/^http/, "ws"), {
  message: takeIn,
  lost: showLost,
  back: showBack,
});

function takeIn(message) {
  for (const key of ward.take(message)) changed?.add(key);
  if (message.type === "snapshot") {
    changed = null;
    sweep.reset();
    requests.clear();
    alarms.forgetSent();
    connection.say(choose(chosen));
  } else {
    const mine = message.seconds.filter((second) => second.key === chosen);
    if (mine.length) sweep.addAll(mine);
    if (message.gone.length) due = true;
    message.outcomes.forEach(takeOutcome);
  }
  keepChoice();
  announcer.update(ward.alarms());
  soundAlarms();
  if (ward.now() - ticked > AGES_EVERY_MS) tick();
}

function takeOutcome(outcome) {
  const alarm = requests.get(outcome.request);
  if (!alarm) {
    console.warn(`femtoward: ${outcome.detail}`);
    return;
  }
  alarms.outcome(alarm, outcome);
  if (outcome.state === "failed" || outcome.state === "refused") announcer.say("say-now", [`not done: ${outcome.detail}`]);
  if (outcome.state !== "sent") requests.delete(outcome.request);
  due = true;
}

/** Ages grow by themselves. */
function tick() {
  ticked = ward.now();
  changed = null;
}

function soundAlarms() {
  const open = ward.alarms().filter(({ alarm }) => isOpen(alarm));
  const heard = open.map(({ alarm }) => alarm);
  if (connection?.lost) heard.push(LOST_CONTACT);
  else heard.push(...ward.silent.map(nothingFrom));
  sound.update(heard);
  document.title = open.length ? `(${open.length}!) femtoward` : "femtoward";
}

function chooseBed(key) {
  if (ward.tiles.get(key)?.of_ward) return;
  if (key !== chosen) {
    chosen = key;
    sweep.reset();
    connection.say(choose(key));
  }
  changed = null;
}

/** Show one ward, or all of them; what is shown is what is heard. */
function showWard(only) {
  ward.only = only;
  changed = null;
  keepChoice();
  announcer.update(ward.alarms());
  soundAlarms();
}

/** Choose another bed where the chosen one has gone, or is of a ward that is not shown. */
function keepChoice() {
  const bed = ward.tiles.get(chosen);
  if (!bed || !ward.shows(bed)) chooseFirst();
}

/** Something should run on a screen that nobody touches: the bed that needs somebody most. */
function chooseFirst() {
  chooseBed(ward.beds()[0]?.key ?? "");
}

function ask(key, id) {
  const alarm = ward.known(key, id);
  if (alarm && !dialog.open) dialog.ask(ward.tiles.get(key), alarm);
}

/** Ask of what the focus is on, else of the chosen bed's worst alarm that is open, else of the ward's. */
function askHere() {
  const row = alarms.focused();
  if (row) {
    ask(...row);
    return;
  }
  const open = ward.alarms().filter(({ alarm }) => isOpen(alarm));
  const focused = tiles.focused();
  const pick = focused
    ? open.find(({ tile }) => tile.key === focused)
    : (open.find(({ tile }) => tile.key === chosen) ?? open[0]);
  if (pick) ask(pick.tile.key, pick.alarm.id);
  else announcer.say("say-soon", ["There is no alarm here to acknowledge"]);
}

function send(said) {
  const request = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}`;
  if (!connection.up || !connection.say({ request, ...said })) return false;
  requests.set(request, said.alarm);
  alarms.asked(ward.known(said.key, said.alarm) ?? { id: said.alarm });
  due = true;
  return true;
}

function showLost(sinceMs) {
  document.body.classList.add("lost");
  find("lost").textContent = `Lost contact with femtoward since ${clock(sinceMs)}: what you see is old. Trying again …`;
  find("lost").hidden = false;
  soundAlarms();
}

function showBack() {
  document.body.classList.remove("lost");
  find("lost").hidden = true;
  soundAlarms();
}

function show() {
  due = false;
  tiles.show(ward, chosen, changed);
  changed = new Set();
  alarms.show(ward);
  dialog.watch(ward);
  chosenBed.show(ward.tiles.get(chosen), ward, sweep.edge);
  const places = ward.wards();
  const beds = tiles.shown.size;
  wards.offer(places);
  put(find("count"), `${beds === places.length ? "" : `${beds} of `}${places.length === 1 ? "1 bed" : `${places.length} beds`}`);
  showElsewhere();
  put(find("clock"), ward.heard ? clock(ward.now()) : "");
  find("empty").hidden = beds > 0;
  put(find("empty"), places.length ? "No bed is in this ward." : "Waiting for the first packets …");
  const said = trouble();
  find("trouble").hidden = !said;
  put(find("trouble"), said);
}

/** Alarms of wards that are not shown are counted. */
function showElsewhere() {
  const open = ward.elsewhere();
  put(find("elsewhere"), open.length ? `${open.length} open in other wards, the worst: ${open[0].alarm.words}` : "");
}

/** What is wrong on the way to here, in words. */
function trouble() {
  const since = ({ since_ms }) => short((ward.now() - since_ms) / 1000);
  const silent = connection.lost
    ? []
    : ward.silent.map((one) => `No bed of partition ${one.partition} is being watched: nothing from it for ${since(one)}`);
  const said = [ward.trouble, ...silent].filter(Boolean).join("; ");
  if (said) return said;
  return ward.outdated ? "femtoward has been renewed: load this page again" : "";
}

function frame(nowMs) {
  if (changed === null || changed.size || due) show();
  sweep.frame(nowMs);
  requestAnimationFrame(frame);
}
requestAnimationFrame(frame);
setInterval(tick, AGES_EVERY_MS);
setInterval(soundAlarms, SOUND_EVERY_MS); // also while nothing comes

function toggleTheme() {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  keep("theme", theme);
}

function showTheme() {
  put(find("theme"), document.documentElement.dataset.theme === "dark" ? "Light" : "Dark");
  sweep.dress();
}
new MutationObserver(showTheme).observe(document.documentElement, { attributeFilter: ["data-theme"] });
showTheme();

find("sound").addEventListener("click", () => sound.toggle());
find("theme").addEventListener("click", toggleTheme);
find("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address holds the ward
  tiles.go("ArrowRight");
});
find("help").addEventListener("click", () => find("keys").showModal());
listenToKeys({
  a: askHere,
  s: () => sound.toggle(),
  t: toggleTheme,
  w: () => wards.list.focus(),
  "?": () => find("keys").showModal(),
  arrow: (key) => tiles.go(key),
});
