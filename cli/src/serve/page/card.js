// One topic among the others, and the topic that fills the page.

import { line, picture, pretty } from "./draw.js";

export const ROOM = 120; // Looks that a line has.
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
// Of these a picture may be had. To join a topic whose participants are dead, and to leave it, would remove it.
const WATCHABLE = new Set(["live", "stalled", "stopped", "waiting", "idle"]);
const MOVING = new Set(["live", "stalled", "stopped"]);

export const bytes = (value) => {
  let unit = 0;
  while (value >= 1024 && unit + 1 < UNITS.length) [value, unit] = [value / 1024, unit + 1];
  return `${unit && value % 1 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
};
export const time = (seconds) => {
  if (seconds < 1e-3) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${(seconds * 1e3).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds / 60) % 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds / 3600) % 24)} h`;
};
export const count = (value) => value.toLocaleString("en");
const rate = (value) => (value < 1 ? value.toFixed(2) : value.toFixed(1));
const several = (value, what) => `${count(value)} ${what}${value === 1 ? "" : "s"}`;
const living = (topic, role) => (topic.participants ?? []).filter((one) => one.role === role && one.liveness !== "dead").length;

export function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function setState(at, state) {
  at.className = `state ${state}`;
  at.textContent = state;
}

// Why there is no picture, as far as that is known without asking for it.
function missing(topic) {
  if (topic.error) return topic.error;
  if (!topic.newest) return "no frame yet";
  if (topic.no_picture) return topic.no_picture;
  if (!WATCHABLE.has(topic.state)) return `the topic is ${topic.state}`;
  return null;
}

// Shows pictures of a topic in an element, as long as that can be seen and something new is to be expected.
class Shot {
  constructor(pictures, root, name, size) {
    Object.assign(this, { pictures, root, name, size, seen: false, seq: null });
    this.canvas = root.querySelector("canvas");
    this.text = root.querySelector("p, figcaption");
    this.key = `${size} ${name}`;
  }

  update(topic) {
    const why = missing(topic);
    if (why) this.tell(why);
    // What does not move is asked for once.
    const done = !MOVING.has(topic.state) && this.seq !== null && this.seq === topic.newest?.seq;
    if (!why && this.seen && !done) {
      this.pictures.watch(this.key, this.name, this.size, (bitmap, about) => this.show(bitmap, about), (text) => this.tell(text));
    } else {
      this.pictures.unwatch(this.key);
    }
  }

  show(bitmap, about) {
    this.root.classList.add("shown");
    this.seq = about.seq;
    const found = picture(this.canvas, bitmap, about);
    this.canvas.setAttribute("aria-label", `Picture of ${this.name}, frame ${about.seq}${found.length ? `, with ${found.map((box) => box.text).join(", ")}` : ""}`);
    this.onshow?.(about, found);
  }

  tell(text) {
    this.seq = null;
    this.root.classList.remove("shown");
    if (this.text.textContent !== text) this.text.textContent = text;
  }

  end() {
    this.pictures.unwatch(this.key);
  }
}

export class Card {
  constructor(pictures, watcher, name) {
    this.name = name;
    this.root = element("a", "card");
    this.root.href = `#topic=${encodeURIComponent(name)}`;
    const shot = element("div", "shot");
    const canvas = element("canvas");
    canvas.setAttribute("role", "img");
    shot.append(canvas, element("p"));
    const body = element("div", "body");
    const top = element("div", "top");
    this.label = element("span", "name");
    this.state = element("span", "state");
    top.append(this.label, this.state);
    this.what = element("div", "what");
    const flow = element("div", "flow");
    this.rate = element("span", "rate");
    this.spark = element("canvas");
    this.spark.setAttribute("aria-hidden", "true");
    flow.append(this.rate, this.spark);
    this.counts = element("div", "counts");
    body.append(top, this.what, flow, this.counts);
    this.root.append(shot, body);
    this.shot = new Shot(pictures, shot, name, "small");
    this.watcher = watcher;
    watcher.observe(this.root);
    this.root.onseen = (seen) => {
      this.shot.seen = seen;
      this.shot.update(this.topic);
      if (seen) this.draw();
    };
  }

  update(topic, history) {
    Object.assign(this, { topic, history });
    setState(this.state, topic.state);
    this.what.textContent = [topic.what, topic.description].filter(Boolean).join(" · ");
    this.what.title = this.what.textContent;
    const now = topic.rate?.frames_per_second;
    this.rate.replaceChildren(now === undefined ? "" : rate(now), element("small", "", now === undefined ? "" : " fps"));
    const counts = [];
    const consumers = living(topic, "consumer");
    if (topic.participants) counts.push([several(consumers, "consumer")]);
    if (topic.newest && topic.state !== "live") counts.push([`${time(topic.newest.age_seconds)} old`]);
    if (topic.newest?.latency_seconds != null) counts.push([`latency ${time(topic.newest.latency_seconds)}`]);
    if (topic.lag) counts.push([`lag ${count(topic.lag)}`]);
    if (topic.lost) counts.push([`lost ${count(topic.lost)}`, topic.lost_per_second > 0]);
    this.counts.replaceChildren(...counts.map(([text, bad]) => element("span", bad ? "bad" : "", text)));
    this.shot.update(topic);
    if (this.shot.seen) this.draw();
  }

  draw() {
    if (this.history) line(this.spark, this.history.rate, ROOM);
  }

  end() {
    this.shot.end();
    this.watcher.unobserve(this.root);
    this.root.remove();
  }
}

const COLUMNS = [
  ["Role", (p) => p.role],
  ["Name", (p) => p.name],
  ["PID", (p) => p.pid, true],
  ["State", (p) => condition(p)],
  ["Frames", (p) => count(p.frames), true],
  ["fps", (p) => (p.rate ? rate(p.rate.frames_per_second) : ""), true],
  ["Bytes", (p) => bytes(p.bytes), true],
  ["Lag", (p) => (p.role === "consumer" && p.lag != null ? count(p.lag) : ""), true],
  ["Lost", (p) => count(p.lost), true],
  ["Copied", (p) => (p.role === "consumer" ? count(p.copied) : ""), true],
  ["Held", (p) => p.held_slots ?? "?", true],
  ["Since", (p) => time(p.age_seconds), true],
];

function condition(p) {
  let word = p.liveness;
  if (word === "alive" && p.stopped) word = "stopped";
  else if (word === "alive" && !p.active) word = "closed";
  else if (word === "alive" && p.stalled) word = "stalled";
  const more = [p.primary && "primary", p.exclusive && "exclusive", p.delivery === "latest" && "latest", p.waiting && "waiting"];
  return [word, ...more.filter(Boolean)].join(", ");
}

// All about one topic.
export class Detail {
  constructor(pictures, root, name) {
    Object.assign(this, { root, name });
    const at = (selector) => root.querySelector(selector);
    const path = encodeURIComponent(name);
    at("h2").textContent = name;
    at(".jpg").href = `/topics/${path}.jpg`;
    at(".mjpg").href = `/topics/${path}.mjpg`;
    at(".json").href = `/api/topics/${path}`;
    at(".meta").textContent = "";
    at(".participants").replaceChildren();
    at(".facts").replaceChildren();
    this.charts = ["rate", "lag", "lost"].map((what) => {
      const chart = element("div", what === "lost" ? "chart loss" : "chart");
      const head = element("div");
      const value = element("b");
      head.append({ rate: "Frames a second", lag: "Lag of the last consumer, in frames", lost: "Lost frames a second" }[what], value);
      const canvas = element("canvas");
      canvas.setAttribute("aria-hidden", "true");
      chart.append(head, canvas);
      return { what, chart, value, canvas };
    });
    at(".charts").replaceChildren(...this.charts.map((one) => one.chart));
    this.shot = new Shot(pictures, at(".shot"), name, "full");
    this.shot.seen = true;
    this.shot.tell("");
    this.shot.onshow = (about) => this.showMeta(about);
  }

  showMeta(about) {
    this.shot.canvas.classList.toggle("small", this.shot.canvas.width < 640);
    if (!this.root.querySelector("details").open) return;
    this.root.querySelector(".meta").textContent = pretty(about.text);
  }

  update(topic, history) {
    if (!topic) {
      setState(this.root.querySelector(".state"), "gone");
      this.shot.end();
      this.shot.tell("there is no such topic now; the page waits for it");
      return;
    }
    setState(this.root.querySelector(".state"), topic.state);
    this.shot.update(topic);
    const newest = topic.newest;
    const geometry = topic.geometry;
    const facts = [
      ["what", topic.what],
      ["description", topic.description],
      ["caps", topic.caps],
      ["published", topic.published !== undefined && several(topic.published, "frame")],
      ["newest", newest && `number ${count(newest.seq)}, ${bytes(newest.bytes)}, ${time(newest.age_seconds)} ago`],
      ["latency", newest?.latency_seconds != null && `${time(newest.latency_seconds)} from capture to publication`],
      ["jitter", topic.jitter_seconds != null && time(topic.jitter_seconds)],
      ["bytes", topic.rate && `${bytes(topic.rate.bytes_per_second)}/s`],
      ["ring", geometry && `${geometry.depth} deep + ${geometry.slots - geometry.depth} spare, ${bytes(geometry.slot_capacity)} a frame`],
      ["memory", topic.shared_bytes !== undefined && `${bytes(topic.shared_bytes)} in ${topic.directory}`],
      ["error", topic.error ?? topic.metadata_error],
    ].filter(([, text]) => text);
    this.root.querySelector(".facts").replaceChildren(...facts.flatMap(([name, text]) => [element("dt", "", name), element("dd", "", text)]));
    for (const { what, value, canvas } of this.charts) {
      const values = history?.[what] ?? [];
      const newest = values.at(-1) ?? 0;
      value.textContent = what === "lag" ? count(newest) : rate(newest);
      line(canvas, values, ROOM);
    }
    this.table(topic.participants ?? []);
  }

  table(participants) {
    const head = element("tr");
    head.append(...COLUMNS.map(([name, , number]) => Object.assign(element("th", number ? "number" : "", name), { scope: "col" })));
    const rows = participants.map((p) => {
      const row = element("tr");
      row.append(...COLUMNS.map(([name, value, number]) => element("td", `${number ? "number" : ""}${name === "State" && p.liveness === "dead" ? " bad" : ""}`, value(p))));
      return row;
    });
    const table = this.root.querySelector(".participants");
    table.replaceChildren(element("caption", "", participants.length ? "Participants" : "No participants"), ...(rows.length ? [head, ...rows] : []));
  }

  end() {
    this.shot.end();
  }
}
