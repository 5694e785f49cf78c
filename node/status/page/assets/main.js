// The page: it passes the events of the node to the parts that show them.

import { Clients } from "./clients.js";
import { Palette } from "./colour.js";
import { Follow } from "./follow.js";
import { Graph } from "./graph.js";
import { Log } from "./log.js";
import { WorldMap } from "./map.js";
import { Speak } from "./speak.js";
import { Stream } from "./stream.js";
import { Links, Nodes, recordPeriod } from "./tables.js";
import { count, element, escaped, identify, named, rate, received, set, span } from "./text.js";

const $ = (id) => document.getElementById(id);
const drawn = 100000; // clients on the map, at most

const palette = new Palette();
const clients = new Clients();
const stream = new Stream();
const map = new WorldMap($("map"), clients, palette);
const graph = new Graph(document.querySelector("#topology svg"), palette);
const links = new Links(document.querySelector("#links tbody"));
const nodes = new Nodes(document.querySelector("#nodes tbody"), palette);
const log = new Log($("log"), palette);
const follow = new Follow($("client"), palette, graph);
new Speak($("speak"), () => map.middle);

let hello = null, health = null, records = [], version = null;
let missing = 0; // clients that are not on the map
let skipped = 0; // changes left out since the page was opened
let mapFault = "";
let loading = false; // the map's clients

// theme

const themes = ["", "light", "dark"];
function theme(next) {
  const root = document.documentElement;
  if (next) root.dataset.theme = next;
  else delete root.dataset.theme;
  $("theme").textContent = { "": "◐ System", light: "○ Light", dark: "● Dark" }[next];
  $("theme").setAttribute("aria-label", "Colours: " + (next || "as the system has them"));
  const scheme = getComputedStyle(root).colorScheme;
  palette.dark = scheme === "dark" || (scheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  map.redraw();
  graph.redraw();
  nodes.redraw();
  legend();
}
$("theme").addEventListener("click", () => {
  const next = themes[(themes.indexOf(document.documentElement.dataset.theme ?? "") + 1) % themes.length];
  try {
    localStorage.setItem("herd-theme", next);
  } catch {
    // then it is not remembered
  }
  theme(next);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme(document.documentElement.dataset.theme ?? ""));

function legend() {
  $("legend").replaceChildren(...palette.names.slice(0, 24).map((name, i) => {
    const dot = element("span", "dot");
    dot.style.setProperty("background", palette.css(i));
    return element("li", "", dot, element("bdi", "", name));
  }));
}

// faults, in words

const banners = new Map();
function banner(key, text, mild = false) {
  if (banners.get(key) === text) return;
  if (text) banners.set(key, text);
  else banners.delete(key);
  const shown = [...$("banners").children].find((p) => p.dataset.key === key);
  if (!text) shown?.remove();
  else if (shown) set(shown, text);
  else {
    const p = element("p", mild ? "wait" : "", text);
    p.dataset.key = key;
    $("banners").append(p);
  }
}

function showFaults() {
  const name = hello?.node ?? "The node";
  banner("stream", stream.live || stream.lost === 0 ? "" : `The event stream is lost since ${new Date(stream.lost).toLocaleTimeString("en-GB")}: the page shows the state of then. Reconnecting…`);
  const live = $("live");
  live.className = "state " + (stream.live ? "up" : "down");
  set(live, stream.live ? "live" : stream.lost === 0 ? "connecting" : "reconnecting…");
  if (stream.lost === 0 && !stream.live) live.className = "state";
  if (!health || !stream.live) return;
  const cut = health.bus !== "connected", down = health.links.filter((l) => l.state === "down");
  const all = health.links.length > 0 && down.length === health.links.length;
  banner("bus", cut ? `${name} is cut off from the bus (${health.bus}). It answers from memory, and sends its reports when the bus is back.`
    : all ? `${name} is cut off: all its links are down. It answers from memory.` : "");
  banner("store", health.store && health.store.state !== "ok" ? `The store of ${name}: ${health.store.state}` : "", health.store?.state === "behind");
}

// announce has a screen reader read a text.
function announce(text) {
  set($("announcement"), text);
}

// the node

stream.on("state", () => {
  showFaults();
  if (stream.live) loadClients();
});

stream.on("hello", (h) => {
  hello = h;
  document.title = `${h.node} – herd`;
  $("self").replaceChildren(element("bdi", "", h.node), " ", element("small", "", "of ", element("bdi", "", h.herd === "herd" ? "herd" : "herd " + h.herd)));
  set($("version"), h.version);
  if (version !== null && version !== h.version) banner("version", `${h.node} now runs ${h.version}; this page is of ${version}. Reload it.`, true);
  version ??= h.version;
  palette.name(h.topology.nodes.map((n) => n.name));
  legend();
  graph.show({ ...h.topology, self: h.topology.self ?? h.node });
  set($("topology-note"), "");
  choices(h.topology);
  states();
});

function choices({ nodes: list, links: pairs }) {
  const f = document.querySelector("#log form").elements;
  const fill = (select, first, values) => {
    const chosen = select.value;
    select.replaceChildren(new Option(first, ""), ...values.map((v) => new Option(v, v)));
    select.value = values.includes(chosen) ? chosen : "";
  };
  fill(f.node, "All nodes", list.map((n) => n.name));
  fill(f.link, "All links", pairs.map((p) => p.toSorted().join("–")));
}

stream.on("health", (h) => {
  health = h;
  set($("ready"), h.ready ? "ready" : "catching up");
  $("ready").className = "state " + (h.ready ? "up" : "catching-up");
  set($("bus"), h.bus === "connected" ? "bus connected" : "bus lost");
  $("bus").title = h.bus;
  $("bus").className = "state " + (h.bus === "connected" ? "up" : "down");
  set($("clients"), count(h.clients));
  set($("sessions"), count(h.sessions));
  set($("uptime"), span(h.uptime_seconds));
  set($("digest"), h.digest.slice(0, 8));
  $("digest").title = h.digest;
  $("stored").hidden = !h.store;
  if (h.store) set($("store"), h.store.state === "ok" ? h.store.mode : h.store.state.slice(0, 40));
  links.update(h);
  const up = h.links.filter((l) => l.state === "up").length;
  set($("links-note"), `${up} of ${h.links.length} up`);
  states();
  showFaults();
  nodes.age();
  follow.age();
  reports();
});

stream.on("nodes", (list) => {
  records = list;
  const names = hello?.topology.nodes.map((n) => n.name) ?? [];
  const order = (n) => (n.self ? -1 : names.indexOf(n.name) < 0 ? names.length : names.indexOf(n.name));
  nodes.update(list.toSorted((a, b) => order(a) - order(b)), names.filter((n) => !list.some((r) => r.name === n)));
  set($("nodes-note"), `as in the record that each sends along the links every ${recordPeriod(list)} s`);
  const own = list.find((n) => n.self);
  graph.fill(new Map(list.map((n) => [n.name, { clients: n.clients, stale: !n.self && n.age_seconds > 3 * recordPeriod(list), age: n.age_seconds, equal: n.digest === own?.digest }])));
  states();
});

// states shows how links are: the node's own from its health, the others' from the records of their nodes.
function states() {
  const list = [], self = hello?.node;
  for (const l of health?.links ?? []) list.push({ a: self, b: l.peer, state: l.state, by: self });
  for (const n of records) {
    if (n.name === self) continue;
    for (const l of n.links ?? []) {
      if (l.peer !== self) list.push({ a: n.name, b: l.peer, state: l.state, by: n.name });
    }
  }
  graph.state(list);
}

graph.onchange = (text, down) => {
  set($("topology-note"), hello && !hello.observing ? "Shows only its own links: " + hello.why : down.length > 0 ? down.join(", ") : "all links up as far as known");
  $("topology-note").title = $("topology-note").textContent;
  announce(text);
};

graph.onnode = (name) => {
  const { node } = document.querySelector("#log form").elements;
  node.value = node.value === name ? "" : name;
  log.filter({ node: node.value });
};

// transfers

stream.on("messages", ({ left_out, links: traffic, reports: list }) => {
  graph.tick(traffic);
  const transfers = list.map((t) => ({ at: t.at, from: t.from, to: t.to, origin: t.origin, time: t.time, ...identify(t.client, t.id_base64) }));
  links.receive(transfers.filter((t) => t.to === hello.node));
  log.add(transfers, left_out);
});
let beat = performance.now();
setInterval(() => {
  const now = performance.now();
  graph.beat((now - beat) / 1000);
  beat = now;
  links.lag((t) => {
    const i = clients.index.get(t.key);
    return i !== undefined && clients.times[i] === t.time ? clients.received[i] : NaN;
  });
  reports();
}, 500);

stream.on("notice", (n) => log.add([{ ...n, at: n.at > 1e11 ? n.at : Date.now() }], 0));
stream.on("following", (client) => follow.started(client));
stream.on("path", (t) => follow.add(t));
log.onclient = (key) => find(key);

// the map

const recent = []; // [time, changes]
function reports() {
  const now = performance.now();
  while (recent.length > 0 && now - recent[0][0] > 4000) recent.shift();
  set($("reports"), rate(recent.reduce((sum, r) => sum + r[1], 0) / 4));
}

function report(c) {
  const [i, moved] = clients.put(c.id, c.id_base64, palette.of(c.origin), c.lat, c.lon, c.time, received(c.time, c.skew), Date.now() - 1000 * c.age_seconds);
  if (moved || c.age_seconds < 2) map.pulse(i);
  return i;
}

stream.on("clients", ({ left_out, clients: list }) => {
  recent.push([performance.now(), list.length + left_out]);
  skipped += left_out;
  const names = palette.names.length;
  for (const c of list) {
    if (clients.size >= drawn && !clients.index.has(identify(c.id, c.id_base64).key)) {
      missing++;
      continue;
    }
    const i = report(c);
    if (clients.keys[i] === follow.key) follow.update(c);
  }
  if (palette.names.length > names) legend();
  map.changed();
});

// loadClients fetches the reports that the node holds; those that came by the stream meanwhile are newer.
async function loadClients() {
  if (loading) return;
  loading = true;
  try {
    const answer = await fetch("api/v1/map?limit=" + drawn);
    if (!answer.ok) throw new Error("the node answers " + answer.status);
    const { left_out, origins, clients: list } = await answer.json();
    const numbers = origins.map((name) => palette.of(name));
    for (const [id, origin, lat, lon, time, base64] of list) {
      const i = clients.index.get(identify(id, base64).key);
      if (i === undefined || clients.times[i] !== time) {
        if (i === undefined || !(clients.localTime[i] > Date.now() - 10000)) clients.put(id, base64, numbers[origin], lat, lon, time, NaN, NaN);
      }
    }
    missing = left_out;
    mapFault = "";
    legend();
  } catch (fault) {
    mapFault = "the clients were not loaded: " + fault.message;
  }
  loading = false;
  map.changed();
}

map.ondraw = (seen) => {
  const parts = [seen === clients.size ? `${count(clients.size)} on the map` : `${count(seen)} of ${count(clients.size)} in sight`];
  if (missing > 0) parts.push(`${count(missing)} more left out`);
  if (skipped > 0) parts.push(`${count(skipped)} moves not shown one by one`);
  if (mapFault) parts.push(mapFault);
  set($("map-note"), parts.join(" · "));
};

map.onhover = (i, x, y) => {
  const tip = $("tip");
  tip.hidden = i < 0;
  if (i < 0) return;
  const local = clients.localTime[i];
  const age = Number.isNaN(local) ? `client’s time ${span(Date.now() / 1000 - Number(clients.times[i]))} ago` : span((Date.now() - local) / 1000) + " ago";
  tip.replaceChildren(element("b", "", named(clients.labels[i], 60)), element("bdi", "", palette.names[clients.origin[i]]), ", " + age);
  const box = $("map").getBoundingClientRect();
  const left = Math.min(x + 12, box.width - tip.offsetWidth - 4), top = y + 12 + tip.offsetHeight > box.height ? y - 12 - tip.offsetHeight : y + 12;
  tip.style.setProperty("transform", `translate(${Math.round(Math.max(4, left))}px, ${Math.round(Math.max(4, top))}px)`);
};
map.onpick = (i) => (i < 0 ? follow.follow(null) : find(clients.keys[i]));
$("closer").addEventListener("click", () => map.zoom(1.6));
$("farther").addEventListener("click", () => map.zoom(1 / 1.6));
$("whole").addEventListener("click", () => map.fit());

// one client

async function find(key) {
  set($("found"), "");
  try {
    if (!(await follow.follow(key))) {
      $("found").replaceChildren("No report is held of a client with the ID ", named(identify(key).label, 60), ". IDs are compared byte by byte.");
      return;
    }
  } catch (fault) {
    set($("found"), "Not found: " + fault.message);
    return;
  }
  if (follow.key !== key) return; // another was asked for meanwhile
  if (clients.times[clients.index.get(key)] !== follow.report.time) report(follow.report);
  map.choose(clients.index.get(key), true);
  map.changed();
}

follow.onchange = (key) => {
  stream.follow(key === null ? "" : escaped(key));
  if (key === null) map.choose(-1);
};

$("search").addEventListener("submit", (e) => {
  e.preventDefault();
  if ($("wanted").value !== "") find($("wanted").value);
});

const filters = document.querySelector("#log form");
filters.addEventListener("submit", (e) => e.preventDefault());
filters.addEventListener("input", () => {
  const f = filters.elements;
  log.filter({ text: f.text.value.toLowerCase(), node: f.node.value, link: f.link.value });
});
filters.elements.pause.addEventListener("click", (e) => {
  const paused = e.target.getAttribute("aria-pressed") !== "true";
  e.target.setAttribute("aria-pressed", paused);
  e.target.textContent = paused ? "Resume" : "Pause";
  log.pause(paused);
});

theme(document.documentElement.dataset.theme ?? "");
map.load("assets/countries.json").catch((fault) => {
  mapFault = "no country outlines: " + fault.message;
  map.changed();
});
stream.start();
