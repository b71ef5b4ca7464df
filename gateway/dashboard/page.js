"use strict";
// Draws what /dashboard/events tells once a second. Text goes in as text, never as markup.
const VERSION = 1;            // of the feed
const COURSE_S = 120;         // of the masks' picture
const RATE_S = 10;            // over which rates and shares are taken
const ROWS = 16;              // requests at most
const history = [];           // {at, feed}, the oldest first

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function make(name, attributes = {}, text) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
function draw(parent, name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; ++unit) value /= 1024;
  return [unit === 0 || value >= 100 ? Math.round(value).toString() : value.toFixed(1), units[unit]];
}
const bytesText = (value) => bytes(value).join(" ");
function count(value) {
  if (value >= 1e9) return (value / 1e9).toFixed(1) + "G";
  if (value >= 1e6) return (value / 1e6).toFixed(1) + "M";
  return value >= 1e4 ? (value / 1e3).toFixed(1) + "k" : Math.round(value).toString();
}
function duration(ms) {
  if (ms < 1000) return ms.toFixed(ms < 10 ? 1 : 0) + " ms";
  if (ms < 60000) return (ms / 1000).toFixed(1) + " s";
  return Math.floor(ms / 60000) + " min " + Math.round(ms % 60000 / 1000) + " s";
}
function upTime(s) {
  if (s < 90) return Math.round(s) + " s";
  if (s < 5400) return Math.round(s / 60) + " min";
  return s < 172800 ? (s / 3600).toFixed(1) + " h" : Math.round(s / 86400) + " days";
}
const percent = (part, whole) => whole > 0 ? Math.round(100 * part / whole) : 0;

/// The feed of about RATE_S ago, and the seconds since then.
function before(now) {
  const then = history.find((entry) => now.at - entry.at <= RATE_S * 1000) || now;
  return { feed: then.feed, seconds: Math.max((now.at - then.at) / 1000, 0) };
}
const rate = (now, then, seconds) => seconds > 0 ? Math.max(0, (now - then) / seconds) : 0;

/// Tokens of answers that ended, and so far of those under way.
function made(feed) {
  const underWay = (feed.requests || []).filter((r) => ["waiting", "prefill", "decode"].includes(r.state));
  return underWay.reduce((sum, r) => sum + r.tokens, feed.totals.generation_tokens);
}

function tile(name, value, unit, more) {
  const box = make("div", { class: "tile" });
  box.append(make("p", { class: "name" }, name));
  const figure = make("p", { class: "value" }, value);
  if (unit) figure.append(make("small", {}, unit));
  box.append(figure, make("p", { class: "more" }, more || ""));
  return box;
}

function median(values) {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)];
}

function showTiles(feed, past) {
  const totals = feed.totals;
  const perSecond = rate(made(feed), made(past.feed), past.seconds);
  const hidden = feed.padded || past.seconds === 0;
  const list = [
    tile("running", String(feed.load.running), "answers", "of " + feed.load.places + " places"),
    tile("waiting", String(feed.load.waiting), "requests", feed.load.waiting ? "for a place" : "nobody waits"),
    tile("answers", hidden ? "—" : perSecond.toFixed(perSecond < 10 ? 1 : 0), "tokens/s",
         feed.padded ? "hidden by padding" : count(totals.generation_tokens) + " in all"),
  ];
  if (feed.requests) {
    const begun = feed.requests.filter((r) => r.tokens > 0);
    const first = median(begun.map((r) => r.queue_ms + r.prefill_ms));
    list.push(tile("first token", first === undefined ? "—" : duration(first), "",
                   first === undefined ? "" : "median of " + begun.length));
  }
  const [stock, unit] = bytes(feed.masks.bytes);
  list.push(tile("masks in stock", stock, unit, feed.masks.stalls === 0 ? "no stall so far" : count(feed.masks.stalls) + " stalls"));
  if (feed.kv) list.push(tile("keys and values", String(percent(feed.kv.used, feed.kv.budget)), "%", "of " + bytesText(feed.kv.budget)));
  const ready = feed.links.filter((link) => link.state === "ready").length;
  list.push(tile("workers", ready + "/" + feed.links.length, "ready", feed.links.length > ready ? "see below" : ""));
  $("tiles").replaceChildren(...list);
}

function tickStep(span) {
  const steps = [50, 100, 250, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000, 120000, 300000, 600000];
  return steps.find((step) => span / step <= 8) || 1800000;
}

function bars(svg, request, y, x) {
  let from = request.ago_ms;
  const whole = draw(svg, "g", { class: request.state === "prefill" || request.state === "decode" || request.state === "waiting" ? "running" : "" });
  for (const phase of ["queue", "prefill", "decode"]) {
    const length = request[phase + "_ms"];
    const left = Math.max(x(from), x.left);
    const right = x(Math.max(from - length, 0));
    from -= length;
    if (right <= x.left || length <= 0) continue;
    const bar = draw(whole, "rect", { class: phase, x: left, y: y + 3, width: Math.max(right - left, 1.2), height: 12, rx: 2 });
    draw(bar, "title", {}, phase + " " + duration(length));
  }
}

function showRequests(feed) {
  const plot = document.querySelector("#requests .plot");
  const requests = (feed.requests || []).slice(0, ROWS);
  if (requests.length === 0) return plot.replaceChildren(make("p", { class: "empty" }, "No request yet."));
  const width = Math.max(plot.clientWidth, 320);
  const left = 112, right = width < 620 ? 0 : 176, row = 20;
  const height = requests.length * row + 26;
  const span = Math.min(Math.max(...requests.map((r) => r.ago_ms), 1000), 600000);
  const x = (ago) => left + (width - left - right) * (1 - Math.min(ago, span * 1.02) / (span * 1.02));
  x.left = left;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 " + width + " " + height);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "requests over time");
  const step = tickStep(span);
  for (let ago = 0; ago <= span; ago += step) {
    draw(svg, "line", { class: "grid", x1: x(ago), x2: x(ago), y1: 0, y2: height - 22 });
    draw(svg, "text", { x: x(ago), y: height - 6, "text-anchor": "middle" }, ago === 0 ? "now" : "−" + duration(ago).replace(".0", ""));
  }
  requests.forEach((request, index) => {
    const y = index * row;
    draw(svg, "text", { x: 0, y: y + 13, class: "ink" }, "#" + request.id);
    draw(svg, "text", { x: 56, y: y + 13 }, request.state);
    bars(svg, request, y, x);
    if (right === 0) return;
    const length = request.queue_ms + request.prefill_ms + request.decode_ms;
    const choices = request.answers > 1 ? " ×" + request.answers : "";
    draw(svg, "text", { x: width, y: y + 13, "text-anchor": "end" },
         count(request.prompt_tokens) + " → " + count(request.tokens) + choices + " tokens, " + duration(length));
  });
  plot.replaceChildren(svg);
}

const COLOURS = {
  "embed": "#7aa2d6", "norm": "#94a3b8", "mask": "#8a63c9", "pack": "#c7b267", "wire up": "#d9a33a", "queue": "#a3a9b5",
  "product": "#e07b54", "wire down": "#c98a10", "unpack": "#b3a15a", "verify": "#34a57b", "unmask": "#b08be0",
  "attention": "#3f83d6", "activation": "#5fb3c9", "sample": "#d2689a",
};

function showStages(feed, past) {
  if (!feed.stages) return;
  const then = new Map((past.feed.stages || []).map((stage) => [stage.name, stage.seconds]));
  let parts = feed.stages.map((stage) => ({ name: stage.name, seconds: stage.seconds - (then.get(stage.name) || 0) }));
  let whole = parts.reduce((sum, part) => sum + part.seconds, 0);
  const recent = whole > 1e-4;
  if (!recent) {
    parts = feed.stages.map((stage) => ({ name: stage.name, seconds: stage.seconds }));
    whole = parts.reduce((sum, part) => sum + part.seconds, 0);
  }
  $("stage-window").textContent = whole === 0 ? "" : recent ? "the last " + Math.round(past.seconds) + " s" : "since the start";
  $("stage-bar").replaceChildren(...parts.map((part) => {
    const piece = make("i", { title: part.name });
    piece.style.width = 100 * part.seconds / (whole || 1) + "%";
    piece.style.background = COLOURS[part.name] || "#888";
    return piece;
  }));
  $("stage-legend").replaceChildren(...parts.map((part) => {
    const entry = make("span");
    const mark = make("i");
    mark.style.background = COLOURS[part.name] || "#888";
    entry.append(mark, part.name + " ", make("b", {}, (100 * part.seconds / (whole || 1)).toFixed(1) + " %"));
    return entry;
  }));
}

function facts(list, pairs) {
  list.replaceChildren(...pairs.map(([name, value]) => {
    const pair = make("div");
    pair.append(make("dt", {}, name), make("dd", {}, value));
    return pair;
  }));
}

function showMasks(now) {
  const plot = document.querySelector("#masks .plot");
  const width = Math.max(plot.clientWidth, 240), height = 96;
  const most = Math.max(1, ...history.map((entry) => entry.feed.masks.bytes));
  const point = (entry) => [width * (1 - (now.at - entry.at) / (COURSE_S * 1000)), height - 4 - (height - 14) * entry.feed.masks.bytes / most];
  const points = history.map(point).map(([x, y]) => x.toFixed(1) + "," + y.toFixed(1));
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 " + width + " " + height);
  draw(svg, "line", { class: "grid", x1: 0, x2: width, y1: height - 4, y2: height - 4 });
  draw(svg, "line", { class: "grid", x1: 0, x2: width, y1: 10, y2: 10 });
  if (points.length > 1) {
    const first = points[0].split(",")[0];
    draw(svg, "path", { class: "area", d: "M" + first + "," + (height - 4) + "L" + points.join("L") + "L" + width + "," + (height - 4) + "Z" });
    draw(svg, "path", { class: "line", d: "M" + points.join("L") });
  }
  draw(svg, "text", { x: width, y: 7, "text-anchor": "end" }, bytesText(most));
  plot.replaceChildren(svg);
  const masks = now.feed.masks;
  facts(document.querySelector("#masks dl"), [
    ["in stock", bytesText(masks.bytes)],
    ["rows made ahead", count(masks.rows_ahead)],
    ["rows made inline", count(masks.rows_inline)],
    ["stalls", count(masks.stalls)],
  ]);
}

function showKv(kv) {
  if (!kv) return;
  const piece = (value, colour, name) => {
    const part = make("i", { title: name });
    part.style.width = 100 * value / (kv.budget || 1) + "%";
    part.style.background = "var(" + colour + ")";
    return part;
  };
  $("kv-bar").replaceChildren(piece(kv.used, "--decode", "used"), piece(Math.max(kv.reserved, 0), "--queue", "reserved"));
  facts(document.querySelector("#kv dl"), [
    ["used", bytesText(kv.used)], ["reserved", bytesText(kv.reserved)], ["budget", bytesText(kv.budget)],
    ["wait for memory", count(kv.waiting)],
    ["prefix hits", kv.prefix_queries === 0 ? "—" : percent(kv.prefix_hits, kv.prefix_queries) + " %"],
    ["preemptions", count(kv.preemptions)],
  ]);
}

function showLinks(feed, past) {
  const then = new Map(past.feed.links.map((link) => [link.name, link]));
  document.querySelector("#links tbody").replaceChildren(...feed.links.map((link) => {
    const old = then.get(link.name) || link;
    const row = make("tr");
    const name = make("td", {}, link.name);
    if (link.address !== link.name) name.append(make("small", {}, link.address));
    const state = make("td", link.trouble ? { title: link.trouble } : {});
    state.append(make("span", { class: "dot " + link.state }), link.state);
    row.append(name, state,
      make("td", {}, link.address === "embedded" ? "—" : duration(link.round_trip_ms)),
      make("td", {}, String(link.in_flight)),
      make("td", {}, count(rate(link.products, old.products, past.seconds))),
      make("td", {}, bytesText(rate(link.bytes_up, old.bytes_up, past.seconds)) + "/s"),
      make("td", {}, bytesText(rate(link.bytes_down, old.bytes_down, past.seconds)) + "/s"),
      make("td", {}, bytesText(link.weight_bytes)));
    return row;
  }));
}

function showPadding(padded) {
  for (const note of document.querySelectorAll("[data-padded]")) {
    note.parentElement.classList.toggle("padded", padded);
    if (padded) note.textContent = note.dataset.padded;
  }
}

function state(kind, text) {
  $("dot").className = "dot " + kind;
  $("state").textContent = text;
  document.body.classList.toggle("stale", kind === "lost");
}

function show(feed) {
  const now = { at: performance.now(), feed };
  history.push(now);
  while (now.at - history[0].at > COURSE_S * 1000) history.shift();
  const past = before(now);
  $("model").textContent = feed.model;
  document.title = feed.model + " · Talaria live";
  $("facts").textContent = (feed.program ? "version " + feed.program + ", " : "") + "up " + upTime(feed.uptime_s);
  state("live", "live");
  showPadding(feed.padded);
  showTiles(feed, past);
  if (!feed.padded) showRequests(feed);
  showStages(feed, past);
  showMasks(now);
  showKv(feed.kv);
  showLinks(feed, past);
}

function begin() {
  $("phases").replaceChildren(...["queue", "prefill", "decode"].map((phase) => {
    const entry = make("span");
    const mark = make("i");
    mark.style.background = "var(--" + phase + ")";
    entry.append(mark, phase);
    return entry;
  }));
  const source = new EventSource("/dashboard/events");
  source.onmessage = (event) => {
    const feed = JSON.parse(event.data);
    if (feed.version > VERSION) return state("lost", "this page is older than the server; load it again");
    if (history.length > 0 && feed.uptime_s < history[history.length - 1].feed.uptime_s) history.length = 0; // another process
    show(feed);
  };
  source.onerror = () => state("lost", "the gateway does not answer; trying again");
}

begin();
