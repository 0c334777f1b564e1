// Asks for all topics once a second, as long as somebody sees the page, and shows them: all, or one of them.

import { Card, Detail, ROOM, element } from "./card.js";
import { Pictures } from "./pictures.js";

const SECOND = 1000;
const at = (id) => document.getElementById(id);
const pictures = new Pictures();
const watcher = new IntersectionObserver(
  (entries) => entries.forEach((entry) => entry.target.onseen?.(entry.isIntersecting)),
  { rootMargin: "80px" },
);
const cards = new Map();
const histories = new Map();
let topics = [];
let detail = null;
let shown = "";
let timer = 0;
let paused = false;

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (answer.ok) return answer.json();
  const text = await answer.text();
  let told = text;
  try {
    told = JSON.parse(text).error;
  } catch {
    // It is a line of text.
  }
  throw new Error(told.trim());
}

function trouble(text) {
  at("trouble").hidden = !text;
  if (at("trouble").textContent !== text) at("trouble").textContent = text;
}

async function look() {
  clearTimeout(timer);
  if (paused || document.hidden) return;
  const start = performance.now();
  try {
    topics = await ask("/api/topics");
    remember();
    show();
    trouble("");
  } catch (error) {
    trouble(error instanceof TypeError ? "No answer: is shmflow serve still running? The page tries again." : error.message);
  }
  clearTimeout(timer);
  timer = setTimeout(look, Math.max(SECOND - (performance.now() - start), 100));
}

// What was before this page came, or while nobody saw it.
async function start() {
  clearTimeout(timer);
  try {
    histories.clear();
    for (const [name, history] of Object.entries(await ask("/api/history"))) histories.set(name, history);
    // The newest of them is the look that comes now.
    for (const history of histories.values()) Object.values(history).forEach((values) => values.pop());
  } catch {
    // The look says what is wrong.
  }
  look();
}

function remember() {
  const names = new Set(topics.map((topic) => topic.topic));
  for (const name of histories.keys()) if (!names.has(name)) histories.delete(name);
  for (const topic of topics) {
    if (!topic.rate) continue;
    const history = histories.get(topic.topic) ?? { rate: [], lag: [], lost: [] };
    histories.set(topic.topic, history);
    history.rate.push(topic.rate.frames_per_second);
    history.lag.push(topic.lag);
    history.lost.push(topic.lost_per_second ?? 0);
    for (const values of Object.values(history)) if (values.length > ROOM) values.shift();
  }
}

// What is before a slash of names that have it in common with others, the longest: as `shmflow ls` groups them.
function groupOf(names) {
  const prefix = (name) => name.slice(0, name.lastIndexOf("/") + 1);
  const counts = new Map();
  for (const name of names) counts.set(prefix(name), (counts.get(prefix(name)) ?? 0) + 1);
  const groups = [...counts].filter(([group, count]) => group && count > 1).map(([group]) => group);
  groups.sort((one, other) => other.length - one.length);
  return (name) => groups.find((group) => name.startsWith(group)) ?? "";
}

function show() {
  const live = topics.filter((topic) => topic.state === "live").length;
  at("summary").textContent = topics.length ? `${topics.length} topic${topics.length === 1 ? "" : "s"}, ${live} live` : "";
  for (const [name, card] of cards) {
    if (topics.some((topic) => topic.topic === name)) continue;
    card.end();
    cards.delete(name);
  }
  for (const topic of topics) {
    if (!cards.has(topic.topic)) cards.set(topic.topic, new Card(pictures, watcher, topic.topic));
    const card = cards.get(topic.topic);
    card.update(topic, histories.get(topic.topic));
  }
  arrange();
  if (detail) detail.update(topics.find((topic) => topic.topic === detail.name), histories.get(detail.name));
}

function arrange() {
  const filter = at("filter").value.toLowerCase();
  const names = topics.map((topic) => topic.topic);
  const groupOfName = groupOf(names);
  const visible = names.filter((name) => name.toLowerCase().includes(filter));
  const none = at("none");
  none.hidden = visible.length > 0 || detail !== null;
  if (!names.length) none.replaceChildren("no topic yet: try ", element("code", "", "gst-launch-1.0 videotestsrc ! shmflowsink topic=video"));
  else none.textContent = `no topic has “${at("filter").value}” in its name`;
  const groups = new Map();
  for (const name of visible) {
    const group = groupOfName(name);
    groups.set(group, [...(groups.get(group) ?? []), name]);
  }
  const order = [...groups].sort(([one], [other]) => (one < other ? -1 : 1));
  const now = JSON.stringify(order);
  // Elements are moved only when that is to be seen: the one with the keyboard stays where it is.
  if (now === shown) return;
  shown = now;
  const sections = order.map(([group, members]) => {
    const section = element("section");
    const grid = element("div", "grid");
    if (group) section.append(element("h2", "", group));
    for (const name of members) {
      const card = cards.get(name);
      card.label.textContent = name.slice(group.length);
      card.root.title = name;
      grid.append(card.root);
    }
    section.append(grid);
    return section;
  });
  const focused = document.activeElement;
  at("overview").replaceChildren(...sections);
  if (focused?.isConnected) focused.focus({ preventScroll: true });
}

function route() {
  const found = /^#topic=(.*)$/.exec(location.hash);
  let name = null;
  try {
    name = found && decodeURIComponent(found[1]);
  } catch {
    // An address that somebody mistyped.
  }
  const before = detail?.name;
  detail?.end();
  detail = name === null ? null : new Detail(pictures, at("detail"), name);
  at("detail").hidden = detail === null;
  at("overview").hidden = detail !== null;
  document.title = name === null ? "shmflow" : `${name} – shmflow`;
  if (detail) {
    scrollTo(0, 0);
    at("detail").querySelector(".back").focus({ preventScroll: true });
  } else if (before !== undefined) {
    cards.get(before)?.root.focus();
  }
  if (topics.length || detail) show();
}

function pause(is) {
  paused = is;
  pictures.pause(is || document.hidden);
  at("pause").setAttribute("aria-pressed", is);
  at("pause").textContent = is ? "Paused" : "Pause";
  if (!is) look();
}

addEventListener("hashchange", route);
document.addEventListener("visibilitychange", () => {
  pictures.pause(paused || document.hidden);
  if (!document.hidden && !paused) start();
});
at("filter").addEventListener("input", arrange);
at("pause").addEventListener("click", () => pause(!paused));
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const typing = event.target instanceof HTMLInputElement;
  if (event.key === "Escape") {
    if (typing) {
      at("filter").value = "";
      at("filter").blur();
      arrange();
    } else if (detail) location.hash = "";
  } else if (typing) {
    return;
  } else if (event.key === "/") {
    event.preventDefault();
    if (detail) location.hash = "";
    at("filter").focus();
  } else if (event.key === "p") pause(!paused);
  else if (event.key.startsWith("Arrow") && !detail) step(event);
});

// The arrows go from card to card.
function step(event) {
  const all = [...at("overview").querySelectorAll(".card")];
  const now = all.indexOf(document.activeElement);
  if (!all.length) return;
  const columns = all.filter((card) => card.offsetTop === all[0].offsetTop).length || 1;
  const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  if (now < 0 && event.key !== "ArrowRight") return;
  event.preventDefault();
  all[Math.min(Math.max(now < 0 ? 0 : now + by, 0), all.length - 1)].focus();
}

route();
start();
