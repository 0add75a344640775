"use strict";
// The live page: asks for the overview every two seconds and draws it. Names come from devices and files and are never
// trusted, so everything is built from nodes and text, never from markup.

const REFRESH_MS = 2000;
const CHART_MS = 6000;
const ABSENT = "–";
const charts = new Map(); // "gateway/device/field" -> last points
const open = new Set(); // the same keys, shown

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "onclick") node.addEventListener("click", value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function svg(tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function put(id, ...children) {
  document.getElementById(id).replaceChildren(...children);
}

function age(ms) {
  if (ms === null) return "never";
  const s = Math.round(ms / 1000);
  if (s < 90) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

function clock(ms, zone, options) {
  return new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit", ...options }).format(ms);
}

function moment(ms, zone) {
  return clock(ms, zone, { day: "2-digit", month: "short" });
}

function period(figure, zone) {
  const day = (ms) => clock(ms, zone, { hour: undefined, minute: undefined, dateStyle: "short" });
  const sameDay = day(figure.from_ms) === day(figure.to_ms);
  return `${moment(figure.from_ms, zone)} – ${sameDay ? clock(figure.to_ms, zone) : moment(figure.to_ms, zone)}`;
}

function number(value, decimals) {
  return value === null ? ABSENT : value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

function reading(value) {
  const size = Math.abs(value);
  const decimals = size >= 1000 ? 1 : size >= 100 ? 2 : 3;
  return value.toLocaleString("en", { maximumFractionDigits: decimals });
}

function title(names, id) {
  const node = el("span", {}, names ? names.en : id);
  if (names && names.zh) node.append(" ", el("span", { class: "zh", lang: "zh" }, names.zh));
  return node;
}

function mark(kind, text, hint) {
  return el("span", { class: `mark ${kind}`, title: hint }, text);
}

// ---- lines --------------------------------------------------------------------------------------------------------

function bounds(values) {
  let low = Math.min(...values), high = Math.max(...values);
  const room = (high - low) * 0.12 || Math.abs(high) * 0.02 || 1;
  return [low - room, high + room];
}

function axis(root, width, height, low, high, decimals) {
  root.append(svg("text", { x: width, y: 10, "text-anchor": "end" }, number(high, decimals)));
  root.append(svg("text", { x: width, y: height - 2, "text-anchor": "end" }, number(low, decimals)));
}

function spark(hours, target, decimals, label) {
  const known = hours.filter((hour) => hour[1] !== null);
  if (known.length < 2) return null;
  const width = 340, height = 74, right = width - 44, hourMs = 3600000;
  const [low, high] = bounds(known.map((hour) => hour[1]).concat(target ? [target.value] : []));
  const end = hours[hours.length - 1][0], span = Math.max(end - hours[0][0], 6 * hourMs);
  const x = (t) => 4 + ((t - (end - span)) / span) * (right - 10), y = (v) => 4 + (1 - (v - low) / (high - low)) * (height - 8);
  const root = svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  if (target) root.append(svg("line", { class: "goal", x1: 0, x2: right, y1: y(target.value), y2: y(target.value) }));
  let path = "", last = null;
  for (const [t, value] of hours) {
    if (value === null) { last = null; continue; }
    path += `${last !== null && t - last <= hourMs ? "L" : "M"}${x(t).toFixed(1)} ${y(value).toFixed(1)}`;
    last = t;
  }
  root.append(svg("path", { class: "stroke", d: path }));
  for (const [t, value, complete] of known) {
    const dot = svg("circle", { class: complete < 0.99 ? "dot partial" : "dot", cx: x(t), cy: y(value), r: 2.6 });
    dot.append(svg("title", {}, `${new Date(t).toISOString().slice(0, 16)}Z  ${number(value, decimals)}  (${Math.round(complete * 100)} % complete)`));
    root.append(dot);
  }
  axis(root, width, height, low, high, decimals);
  return root;
}

function course(points, unit) {
  if (!points || points.t.length < 2) return el("p", { class: "facts" }, "too few readings for a line");
  const width = 250, height = 84, right = width - 56;
  const [low, high] = bounds(points.v);
  const first = points.t[0], span = Math.max(points.t[points.t.length - 1] - first, 1);
  const steps = points.t.slice(1).map((t, i) => t - points.t[i]).sort((a, b) => a - b);
  const hole = 2.5 * steps[Math.floor(steps.length / 2)];
  const x = (t) => ((t - first) / span) * right, y = (v) => 4 + (1 - (v - low) / (high - low)) * (height - 8);
  const root = svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `course in ${unit}` });
  const path = points.t.map((t, i) => `${i && t - points.t[i - 1] <= hole ? "L" : "M"}${x(t).toFixed(1)} ${y(points.v[i]).toFixed(1)}`);
  root.append(svg("path", { class: "stroke", d: path.join("") }));
  axis(root, width, height, low, high, high - low < 1 ? 3 : high - low < 20 ? 2 : 0);
  return root;
}

// ---- indicators ---------------------------------------------------------------------------------------------------

function goal(area, decimals, sign) {
  const target = area.target;
  if (!target) return null;
  const met = area.day && area.day.target_met;
  const kind = !area.day || met === null ? "target" : met ? "target met" : "target missed";
  const said = target.nature === "reference" ? "reference" : `target${target.year ? ` ${target.year}` : ""}`;
  const compare = target.sense === "at_least" ? "≥" : "≤";
  const verdict = !area.day || met === null ? "" : met ? " ✓ met" : " ✗ not met";
  return el("p", { class: kind, title: target.source }, `${said} ${compare} ${number(target.value, Number.isInteger(target.value) ? 0 : decimals)} ${sign}${verdict}`);
}

function completeness(figure) {
  const share = figure.completeness ?? 0;
  // Rounded down, so that nothing is called complete that is not.
  const percent = Math.floor(share * 1000) / 10;
  const fill = el("span");
  fill.style.width = `${Math.max(share * 100, 1)}%`;
  return [
    el("div", { class: figure.partial ? "bar partial" : "bar", role: "img", "aria-label": `${percent} % complete` }, fill),
    el("p", { class: "facts" }, `data ${percent.toFixed(1)} % complete`),
  ];
}

function figureFacts(figure, area, indicator) {
  const facts = [period(figure, area.zone)];
  if (figure.low !== null && figure.high !== null) {
    facts.push(`between ${number(figure.low, indicator.decimals)} and ${number(figure.high, indicator.decimals)} ${indicator.sign}`);
  }
  return el("p", { class: "facts", title: `${indicator.formula}\n${figure.rule}` }, facts.join("  ·  "));
}

function indicatorCard(indicator, area, below) {
  const figure = area.day;
  const marks = el("div", { class: "marks" });
  if (figure && figure.simulated) marks.append(mark("simulated", "simulated"));
  if (figure && figure.partial) marks.append(mark("partial", "partial", "readings are missing in this period"));
  const card = el("article", { class: "card" },
    el("header", {}, el("div", {}, el("h3", {}, title(indicator.title, indicator.id)), el("p", { class: "quiet" }, title(area.title, area.id))), marks));
  if (figure && figure.value !== null) {
    card.append(el("p", { class: "value" }, number(figure.value, indicator.decimals), el("span", { class: "sign" }, `${indicator.sign} ${figure.is_today ? "today" : "last day"}`)));
  } else {
    card.append(el("p", { class: "value none" }, "no value"), el("p", { class: "facts" }, figure ? figure.reason : "no readings yet"));
  }
  const promised = goal(area, indicator.decimals, indicator.sign);
  if (promised) card.append(promised);
  if (figure) {
    card.append(...completeness(figure), figureFacts(figure, area, indicator));
    if (figure.value !== null && figure.reason) card.append(el("p", { class: "facts" }, figure.reason));
  }
  const drawn = spark(area.hours, area.target, indicator.decimals, `${indicator.title.en}, hour by hour`);
  if (drawn) card.append(drawn, el("p", { class: "facts" }, `hour by hour${area.target ? ", dashed: " + (area.target.nature === "reference" ? "reference" : "target") : ""}`));
  if (below.length) card.append(areaTable(indicator, area, below));
  return card;
}

function areaTable(indicator, top, below) {
  const rows = below.map((area) => {
    const name = el("td", {}, title(area.title, area.id));
    name.style.paddingLeft = `${0.9 * Math.max(area.depth - top.depth - 1, 0)}rem`;
    const figure = area.day;
    const value = figure && figure.value !== null ? `${number(figure.value, indicator.decimals)} ${indicator.sign}` : "no value";
    return el("tr", {}, name, el("td", { class: "number" }, figure && figure.partial ? mark("partial", "partial") : null, " ", value));
  });
  return el("table", { class: "bare" }, el("tbody", {}, ...rows));
}

function drawIndicators(overview) {
  const cards = [];
  for (const indicator of overview.indicators) {
    const areas = indicator.areas;
    if (!areas.length) {
      cards.push(el("article", { class: "card" }, el("h3", {}, title(indicator.title, indicator.id)), el("p", { class: "value none" }, "no readings yet"), el("p", { class: "facts" }, indicator.formula)));
    }
    for (let at = 0; at < areas.length; ) {
      let next = at + 1;
      while (next < areas.length && areas[next].depth > areas[at].depth) next += 1;
      cards.push(indicatorCard(indicator, areas[at], areas.slice(at + 1, next)));
      at = next;
    }
  }
  put("indicators", ...cards);
}

// ---- devices ------------------------------------------------------------------------------------------------------

function cell(label, ...children) {
  return el("td", { "data-label": label }, el("span", {}, ...children));
}

function drawSilent(overview) {
  if (!overview.silent.length) {
    const count = overview.devices.length;
    put("silent", el("p", { class: "all-well" }, count ? `Nobody: all ${count} devices speak.` : "Nobody is known yet."));
    return;
  }
  const rows = overview.silent.map((one) => {
    const counts = Object.entries(one.missing).map(([cause, count]) => `${cause.replaceAll("_", " ")} ${count}`).join(", ");
    const who = one.device ? title(one.title, one.device) : el("span", {}, "whole gateway");
    return el("tr", {},
      cell("who", who, " ", el("span", { class: "quiet" }, one.device ? `${one.gateway} / ${one.device}` : one.gateway)),
      cell("since", one.since_ms === null ? "never heard" : `${moment(one.since_ms, overview.zone)} (${age(one.for_ms)})`),
      cell("why", mark("bad", one.cause.replaceAll("_", " ")), " ", one.words),
      cell("not sampled", counts || ABSENT));
  });
  const head = el("tr", {}, ...["who", "since", "why", "not sampled in the last 15 min"].map((text) => el("th", { scope: "col" }, text)));
  put("silent", el("table", { class: "stack" }, el("thead", {}, head), el("tbody", {}, ...rows)));
}

function valueRow(device, value) {
  const key = `${device.gateway}/${device.device}/${value.field}`;
  const toggle = () => { open.has(key) ? open.delete(key) : open.add(key); loadCharts(); draw(latest); };
  const button = el("button", { class: "field", type: "button", "data-key": key, "aria-expanded": String(open.has(key)), title: "show the last hours", onclick: toggle }, value.name);
  const rows = [el("tr", {}, el("td", {}, button), el("td", { class: "number" }, `${reading(value.value)} ${value.unit}`))];
  if (open.has(key)) rows.push(el("tr", {}, el("td", { colspan: 2 }, charts.has(key) ? course(charts.get(key), value.unit) : "…")));
  return rows;
}

function deviceCard(device, overview) {
  const marks = el("div", { class: "marks" });
  if (device.simulated) marks.append(mark("simulated", "simulated"));
  marks.append(device.silent ? mark("bad", "silent") : mark("good", age(device.age_ms), "age of the newest value"));
  return el("article", { class: device.silent ? "card silent" : "card" },
    el("header", {}, el("div", {}, el("h3", {}, title(device.title, device.device)), el("p", { class: "facts" }, `${device.gateway} / ${device.device}${device.role ? " · " + device.role.replaceAll("_", " ") : ""}`)), marks),
    device.silent ? el("p", { class: "facts" }, `${device.silent}; last value ${device.newest_ms === null ? "never" : age(device.age_ms) + " ago"}`) : null,
    el("table", { class: "bare" }, el("tbody", {}, ...device.values.flatMap((value) => valueRow(device, value)))));
}

function drawGateways(overview) {
  const rows = overview.gateways.map((one) => el("tr", {},
    cell("gateway", one.gateway, " ", one.silent ? mark("bad", "silent") : mark("good", "heard")),
    cell("last heard", `${age(one.age_ms)} ago`),
    cell("data up to", moment(one.data_to_ms, overview.zone), one.time_unsure ? " (clock unsure)" : ""),
    cell("still holds", one.pending_batches ? `${one.pending_batches} batches` : "nothing")));
  const head = el("tr", {}, ...["gateway", "last heard", "data up to", "still holds"].map((text) => el("th", { scope: "col" }, text)));
  put("gateways", rows.length ? el("table", { class: "stack" }, el("thead", {}, head), el("tbody", {}, ...rows)) : el("p", { class: "quiet" }, "None has been heard yet."));
}

// ---- the page -----------------------------------------------------------------------------------------------------

let latest = null;

function draw(overview) {
  if (!overview) return;
  const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.key : undefined;
  document.getElementById("simulated").hidden = !overview.simulated;
  put("time", clock(overview.now_ms, overview.zone, { weekday: "short", day: "2-digit", month: "short", year: "numeric", second: "2-digit" }), " ", el("span", { class: "quiet" }, overview.zone));
  drawIndicators(overview);
  drawSilent(overview);
  put("devices", ...(overview.devices.length ? overview.devices.map((device) => deviceCard(device, overview)) : [el("p", { class: "quiet" }, "None is known yet.")]));
  drawGateways(overview);
  if (focused) for (const button of document.querySelectorAll("button.field")) if (button.dataset.key === focused) button.focus();
}

function say(state, text, problem) {
  const node = document.getElementById("state");
  node.className = `state ${state}`;
  node.textContent = text;
  const banner = document.getElementById("banner");
  banner.hidden = !problem;
  banner.textContent = problem || "";
}

async function fetchJson(url) {
  const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(10000) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error || `the server answers ${answer.status}`);
  return body;
}

async function loadCharts() {
  for (const key of open) {
    const [gateway, device, field] = key.split("/");
    try {
      charts.set(key, await fetchJson(`/api/series?${new URLSearchParams({ gateway, device, field, hours: "3" })}`));
    } catch { /* the overview says what is wrong */ }
  }
  if (open.size) draw(latest);
}

async function refresh() {
  try {
    latest = await fetchJson("/api/overview");
    say("live", "live", null);
    draw(latest);
  } catch (error) {
    const reason = error instanceof TypeError || error.name === "TimeoutError" ? "this page's server does not answer" : error.message;
    say("away", "stands still", latest ? `${reason}. What is shown is as of ${clock(latest.now_ms, latest.zone)}.` : reason);
  }
  setTimeout(refresh, REFRESH_MS);
}

refresh();
setInterval(loadCharts, CHART_MS);
