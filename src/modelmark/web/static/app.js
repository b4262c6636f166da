// Behaviour of every page: relative times, charts, and live values that never move what is being read.
"use strict";

const block = document.getElementById("data");
let data = block ? JSON.parse(block.textContent) : null;
const views = new Map();

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const at = (path) => path.split(".").reduce((value, key) => (value == null ? value : value[key]), data);

function relative(ms) {
  const seconds = Math.round((Date.now() - ms) / 1000);
  const form = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) return form.format(-Math.round(seconds / size), unit);
  }
  return form.format(-seconds, "second");
}

function times() {
  for (const node of document.querySelectorAll("time[data-relative]")) {
    const stamp = Date.parse(node.dateTime);
    node.textContent = relative(stamp);
    node.title = new Date(stamp).toLocaleString() + " (" + new Date(stamp).toISOString() + ")";
  }
}

// A spec names colours by their role; the style sheet says what they are in this light.
function coloured(value) {
  if (Array.isArray(value)) return value.map(coloured);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v)]));
  return ["accent", "bad", "good", "muted", "unsure", "ink"].includes(value) ? css(value === "muted" ? "quiet" : value) : value;
}

// The shared theme, with this page's colours on top.
function theme() {
  const text = { labelColor: css("quiet"), titleColor: css("quiet") };
  return {
    ...config, padding: 4,
    axis: { ...config.axis, ...text, gridColor: css("grid"), domainColor: css("line"), tickColor: css("line") },
    bar: { fill: css("accent") }, rect: { fill: css("accent") }, tick: { color: css("ink") }, mark: { color: css("accent") }, point: { ...config.point, color: css("accent") },
    line: { ...config.line, color: css("accent") }, area: { color: css("accent") }, rule: { color: css("quiet") },
  };
}

const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);

function tooltip(_, event, __, value) {
  if (value == null || value === "") { tip.hidden = true; return; }
  const said = value.text ?? value.sentence;
  const shown = said ?? Object.entries(value)
    .filter(([key, item]) => item != null && !["run", "href", "known"].includes(key) && !key.startsWith("__"))
    .map(([key, item]) => key.replace("_", " ") + ": " + (key === "at" || key === "end" ? new Date(item).toLocaleTimeString() : typeof item === "number" ? +item.toPrecision(4) : item))
    .join("\n");
  tip.textContent = shown;
  tip.hidden = false;
  tip.style.left = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8) + "px";
  tip.style.top = event.clientY + 12 + "px";
}

let specs, config;

// A chart without points leaves no hole.
function show(place, points) {
  (place.closest("figure") ?? place).hidden = points.length === 0;
  return points.length > 0;
}

// Draw across a chart over time to look closer: the span goes into the address.
function brush(place) {
  let from = null, box = null;
  place.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !views.get(place)) return;
    from = event.clientX;
    box = document.createElement("div");
    box.className = "brush";
    place.append(box);
  });
  place.addEventListener("pointermove", (event) => {
    if (box === null) return;
    const left = place.getBoundingClientRect().left;
    box.style.left = Math.min(from, event.clientX) - left + "px";
    box.style.width = Math.abs(event.clientX - from) + "px";
  });
  addEventListener("pointerup", (event) => {
    if (box === null) return;
    box.remove();
    box = null;
    if (Math.abs(event.clientX - from) < 8) return;
    const view = views.get(place), zero = place.querySelector("svg").getBoundingClientRect().left + view.origin()[0];
    const [first, last] = [from, event.clientX].sort((a, b) => a - b).map((x) => new Date(view.scale("x").invert(x - zero)).toISOString());
    const asked = new URLSearchParams(location.search);
    asked.delete("span");
    asked.set("from", first);
    asked.set("to", last);
    location.search = asked;
  });
}

async function drawOne(place) {
  const points = at(place.dataset.key) ?? [];
  if (!show(place, points)) return;
  const spec = coloured(structuredClone(specs[place.dataset.chart]));
  const step = spec.height.step; // one row per point; a number, since a width that fits its place rules out a step
  if (step) spec.height = step * points.length;
  const result = await vegaEmbed(place, { $schema: "https://vega.github.io/schema/vega-lite/v6.json", ...spec }, {
    ast: true, actions: false, defaultStyle: false, renderer: "svg", mode: "vega-lite", config: theme(), tooltip,
    logLevel: 1,
    patch: (compiled) => {
      for (const set of compiled.data) {
        if (set.name === "points") set.values = points;
        if (set.name === "marks") set.values = data.marks ?? [];
        if (set.name === "edges") set.values = data.edges ?? [];
      }
      return compiled;
    },
  });
  views.set(place, result.view);
  result.view.addEventListener("click", (_, item) => { if (item?.datum?.href) location.assign(item.datum.href); }); // to its rows
  result.view.addEventListener("mouseover", (_, item) => { place.style.cursor = item?.datum?.href ? "pointer" : ""; });
  if (step) place.dataset.step = step;
}

async function draw() {
  const places = [...document.querySelectorAll("[data-chart]")];
  if (!places.length || !window.vegaEmbed) return;
  if (!specs) ({ specs, config } = await (await fetch("/api/charts")).json());
  for (const view of views.values()) view.finalize();
  views.clear();
  for (const place of places) {
    if (specs[place.dataset.chart].layer?.[0]?.data?.name === "edges" && !place.dataset.brush) { place.dataset.brush = "yes"; brush(place); }
    await drawOne(place);
  }
}

function alertLine(alert) {
  const line = document.createElement("p");
  line.className = "alert";
  const sign = document.createElement("span");
  sign.className = "verdict fail";
  sign.textContent = "✕ alert";
  const began = document.createElement("time");
  began.dateTime = alert.opened;
  began.dataset.relative = "";
  const rest = document.createElement("span");
  rest.className = "quiet";
  rest.append("Began ", began, (alert.count > 1 ? ", seen " + alert.count.toLocaleString("en") + " times" : "") + ".");
  const more = document.createElement("a");
  more.href = "/alerts/" + alert.id;
  more.textContent = "What to do";
  if (alert.handling) rest.append(" " + alert.handling[0].toUpperCase() + alert.handling.slice(1) + ".");
  line.append(sign, " " + alert.about + ": " + alert.sentence + " ", rest, " ", more);
  return line;
}

const region = document.querySelector("[data-alerts]");
if (region) region.dataset.shown = JSON.stringify(data.alerts); // the server drew these

function calmLine() {
  const line = document.createElement("p");
  line.className = "calm";
  const sign = document.createElement("span");
  sign.className = "verdict pass";
  sign.textContent = "✓ No alert is open.";
  line.append(sign);
  return line;
}

function fill() {
  for (const node of document.querySelectorAll("[data-needy]")) node.classList.toggle("needy", Boolean(at(node.dataset.needy)));
  for (const node of document.querySelectorAll("[data-live]")) {
    const value = at(node.dataset.live);
    const text = value == null ? "–" : String(value);
    if (node.textContent !== text) node.textContent = text;
    if (node.dataset.state) {
      node.classList.toggle("bad", Boolean(at(node.dataset.state)));
      node.classList.toggle("good", !at(node.dataset.state));
    }
  }
  if (region && JSON.stringify(data.alerts) !== region.dataset.shown) {
    region.dataset.shown = JSON.stringify(data.alerts);
    const open = region.querySelector("details")?.open;
    const lines = data.alerts.map(alertLine);
    region.replaceChildren(...(lines.length ? lines.slice(0, 2) : [calmLine()]));
    if (lines.length > 2) {
      const more = document.createElement("details");
      const title = document.createElement("summary");
      title.textContent = lines.length - 2 + " more open alert" + (lines.length > 3 ? "s" : "");
      more.append(title, ...lines.slice(2));
      more.open = Boolean(open);
      region.append(more);
    }
    times();
  }
  for (const place of document.querySelectorAll("[data-chart]")) {
    const points = at(place.dataset.key) ?? [];
    const view = views.get(place);
    if (!view) { if (specs && points.length) drawOne(place); continue; }
    show(place, points);
    const known = view.getState({ data: () => true }).data;
    if ("points" in known) view.data("points", points);
    if ("marks" in known) view.data("marks", data.marks ?? []);
    if ("edges" in known) view.data("edges", data.edges ?? []);
    if (place.dataset.step && points.length) view.height(place.dataset.step * points.length);
    view.runAsync();
  }
}

const leaving = new AbortController();

function live() {
  const badge = document.getElementById("live");
  const beats = new EventSource("/live");
  let busy = false, seen = null, since = 0;
  const say = (text, on) => { badge.textContent = text; badge.classList.toggle("on", on); };
  beats.addEventListener("beat", async (beat) => {
    say("live", true);
    times();
    // Ask again when the journal grew, and now and then in any case: time passes and monitors look.
    const waited = Date.now() - since;
    if (!block || busy || document.hidden || waited < (data.wait ?? 0) || (beat.data === seen && waited < 2_000)) return;
    [busy, seen, since] = [true, beat.data, Date.now()];
    try {
      const answer = await fetch(block.dataset.from, { signal: leaving.signal });
      if (answer.ok) { data = await answer.json(); fill(); }
      else say("the server answered " + answer.status, false);
    } catch { if (!leaving.signal.aborted) { seen = null; say("not live: the server does not answer", false); } }
    finally { busy = false; }
  });
  beats.onerror = () => say("not live: the server does not answer", false);
  addEventListener("pagehide", () => { beats.close(); leaving.abort(); });
}

// A button that was pressed says so at once, however long the answer takes.
addEventListener("submit", (event) => {
  const button = event.submitter ?? event.target.querySelector("button");
  if (!button || event.defaultPrevented) return;
  button.setAttribute("aria-busy", "true");
  setTimeout(() => { button.disabled = true; }); // after its form was sent
});
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button[aria-busy]")) { button.removeAttribute("aria-busy"); button.disabled = false; }
});

times();
draw().then(() => { document.documentElement.dataset.drawn = "true"; });
live();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
