// The page: asks for the overview again and again, and draws what the address after # names, in the chosen language.

import { el } from "./dom.js";
import { forgetAll, forgetUnseen } from "./chart.js";
import { binsOf, binsPage, binTable } from "./bins.js";
import { chosenFields, devicePage, devicesPage, lineKey, RANGES } from "./devices.js";
import { clock, full } from "./format.js";
import { clockOff, gatewaysOf, gatewaysPage, silentOf, silentTable } from "./gateways.js";
import { indicators } from "./indicators.js";
import { language, pick, say, startLanguage, useLanguage } from "./words.js";

const REFRESH_MS = 3000, HISTORY_MS = 60000;
const lines = new Map(), opened = new Set();
let latest = null, problem = null, trend = "days", timer = 0, drawnFor = null;

// ---- where we are -------------------------------------------------------------------------------------------------

function address() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, gateway, id] = path.split("/").map((part) => { try { return decodeURIComponent(part); } catch { return ""; } });
  return { page: page === "main" ? "" : page, gateway, id, asked: new URLSearchParams(query || "") };
}

function link(page, changes, keep) {
  const asked = new URLSearchParams();
  const area = changes && "area" in changes ? changes.area : address().asked.get("area");
  if (area) asked.set("area", area);
  for (const [name, value] of Object.entries({ ...keep, ...changes })) if (name !== "area" && value) asked.set(name, value);
  return `#/${page}${asked.size ? `?${asked}` : ""}`;
}

function viewOf(data) {
  const { page, gateway, id, asked } = address();
  const areas = new Map(data.areas.map((area) => [area.id, area]));
  const area = areas.has(asked.get("area")) ? asked.get("area") : "";
  const path = (at) => { const way = []; for (let one = areas.get(at); one; one = areas.get(one.parent)) way.unshift(pick(one.title, one.id)); return way.join(" › "); };
  const within = (at) => { for (let one = at; one; one = areas.get(one)?.parent) if (one === area) return true; return !area; };
  const here = `device/${encodeURIComponent(gateway)}/${encodeURIComponent(id)}`;
  const own = { range: asked.get("range"), fields: asked.get("fields") };
  return {
    page, gateway, id, area, within, path, trend, link,
    range: RANGES[asked.get("range")] ? asked.get("range") : "fortnight", fields: asked.get("fields"),
    name: (at) => pick(areas.get(at)?.title, at),
    covers: (own) => !area || own.includes(area),
    device: (one) => link(`device/${encodeURIComponent(one.gateway)}/${encodeURIComponent(one.device)}`),
    setTrend: (value) => { trend = value; draw(); },
    setRange: (range) => { location.hash = link(here, { ...own, range }); },
    setFields: (fields) => { location.hash = link(here, { ...own, fields: fields.join(",") || "-" }); },
    remember: (key, open) => { if (open) opened.add(key); else opened.delete(key); },
    remembers: (key) => opened.has(key),
  };
}

// ---- what is drawn ------------------------------------------------------------------------------------------------

function tile(href, id, words, count, of, kind) {
  return el("a", { class: `tile ${kind}`, href, id }, el("span", { class: "count figures" }, String(count), of === null ? null : el("span", { class: "of" }, ` ${say("of", { n: of })}`)), el("span", {}, words));
}

function overviewPage(data, view) {
  const bins = binsOf(data, view), due = bins.filter((bin) => bin.collect);
  const gateways = gatewaysOf(data, view), off = gateways.filter(clockOff), silent = silentOf(data, view);
  const devices = data.devices.filter((one) => view.covers(one.areas)), speaking = devices.filter((one) => !one.silent);
  return [el("h1", { class: "hidden" }, "Loopgauge"),
    el("div", { class: "tiles" },
      tile(view.link("devices"), "tile-devices", say("speaking"), speaking.length, devices.length, speaking.length === devices.length ? "" : "warn"),
      tile(view.link("gateways"), "tile-silent", say("silent-ones"), silent.length, null, silent.length ? "bad" : ""),
      tile(view.link("gateways"), "tile-clocks", say("clocks-off"), off.length, gateways.length, off.length ? "warn" : ""),
      bins.length ? tile(view.link("bins"), "tile-bins", say("to-collect"), due.length, bins.length, due.length ? "warn" : "") : null),
    indicators(data, view),
    bins.length ? el("section", {}, el("h2", {}, say("to-collect")), due.length ? binTable(due, data, view) : el("p", { class: "well good" }, `✓ ${say("to-collect-none")}`)) : null,
    el("section", {}, el("h2", {}, say("silent-head")), silentTable(data, view))];
}

const PAGES = { "": overviewPage, bins: binsPage, devices: devicesPage, device: (data, view) => devicePage(data, view, lines), gateways: gatewaysPage };

function drawTop(data, view) {
  for (const node of document.querySelectorAll("#nav a")) {
    node.href = link(node.dataset.page);
    const here = node.dataset.page === (view.page === "device" ? "devices" : view.page);
    if (here) node.setAttribute("aria-current", "page"); else node.removeAttribute("aria-current");
  }
  const choice = document.getElementById("area"), drawn = JSON.stringify([language(), data.areas]);
  if (choice.dataset.drawn !== drawn) {
    const options = data.areas.map((area) => el("option", { value: area.id }, `${"\u2003".repeat(area.depth)}${pick(area.title, area.id)}`));
    choice.replaceChildren(el("option", { value: "" }, say("everywhere")), ...options);
    choice.dataset.drawn = drawn;
  }
  choice.value = view.area;
  document.getElementById("simulated").hidden = !data.simulated;
  document.getElementById("time").textContent = full(data.now_ms, data.zone);
}

function draw() {
  drawState();
  const page = document.getElementById("page");
  if (!latest) { page.replaceChildren(el("p", { class: "quiet" }, problem ? "" : say("loading"))); return; }
  const view = viewOf(latest), focused = document.activeElement?.id, shown = PAGES[view.page] || overviewPage;
  drawTop(latest, view);
  page.replaceChildren(...shown(latest, view).flat(2).filter(Boolean));
  forgetUnseen();
  const heading = page.querySelector("h1")?.textContent ?? "";
  document.title = [heading, "Loopgauge"].filter((part, at) => at || part !== "Loopgauge").filter(Boolean).join(" · ");
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

function drawState() {
  const state = document.getElementById("state"), banner = document.getElementById("banner");
  const text = problem ? say("still") : latest ? say("live") : say("loading");
  state.className = `state ${problem ? "away" : latest ? "live" : ""}`;
  if (state.textContent !== text) state.textContent = text;
  banner.hidden = !problem;
  const words = problem ? `${say(problem)} ${latest ? say("as-of", { time: clock(latest.now_ms, latest.zone) }) : ""}` : "";
  if (banner.textContent !== words) banner.textContent = words;
}

// ---- what is asked ------------------------------------------------------------------------------------------------

async function fetchJson(url) {
  const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(10000) });
  if (!answer.ok) throw Object.assign(new Error(`answer ${answer.status}`), { status: answer.status });
  return answer.json();
}

async function loadLines() {
  if (!latest || address().page !== "device") return;
  const view = viewOf(latest), device = latest.devices.find((one) => one.gateway === view.gateway && one.device === view.id);
  if (!device) return;
  const [route, hours] = RANGES[view.range];
  await Promise.all(chosenFields(device, view).map(async (field) => {
    const key = lineKey(device, field, view.range), known = lines.get(key);
    if (known && route === "history" && performance.now() - known.asked_ms < HISTORY_MS) return;
    try {
      const line = await fetchJson(`/api/${route}?${new URLSearchParams({ gateway: device.gateway, device: device.device, field, hours })}`);
      lines.set(key, { ...line, asked_ms: performance.now() });
    } catch { /* the overview says what is wrong */ }
  }));
}

async function refresh() {
  clearTimeout(timer);
  try {
    latest = await fetchJson("/api/overview");
    problem = null;
    await loadLines();
  } catch (error) {
    problem = error.status ? "no-store" : "no-server";
  }
  // Whoever is copying a figure keeps what he has marked.
  if (getSelection().isCollapsed || problem) draw();
  timer = setTimeout(refresh, REFRESH_MS);
}

async function moved() {
  const { page, gateway, id } = address(), place = [page, gateway, id].join("/");
  if (drawnFor !== null && drawnFor !== place) { lines.clear(); scrollTo(0, 0); }
  const turned = drawnFor !== null && drawnFor !== place;
  drawnFor = place;
  draw();
  // The link that led here may be gone: the keyboard goes on from the new page's begin.
  if (turned && document.activeElement === document.body) document.getElementById("main").focus({ preventScroll: true });
  await loadLines();
  draw();
}

startLanguage();
document.getElementById("language").addEventListener("click", () => { useLanguage(language() === "en" ? "zh" : "en", true); draw(); });
document.getElementById("area").addEventListener("change", (event) => {
  const { page, gateway, id, asked } = address();
  const path = page === "device" ? `device/${encodeURIComponent(gateway)}/${encodeURIComponent(id)}` : page;
  location.hash = link(path, { area: event.target.value, range: asked.get("range"), fields: asked.get("fields") });
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { forgetAll(); draw(); });
addEventListener("hashchange", moved);
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); document.getElementById("main").focus(); });
moved();
refresh();
