// Devices: a list by site, and a page for each with its charts.

import { cell, choices, el, mark, table } from "./dom.js";
import { chart, HOUR_MS, stretchesOf, withHoles } from "./chart.js";
import { ago, moment, reading } from "./format.js";
import { pick, say } from "./words.js";

export const RANGES = { live: ["series", 3, "3h"], day: ["series", 24, "24h-live"], fortnight: ["history", 336, "14d"] };
const CHOSEN_FIRST = 2;

const title = (device) => pick(device.title, device.device);
const amount = (value) => `${reading(value.value)} ${value.unit}`.trim();

function marks(device) {
  return [device.simulated ? mark("simulated", say("simulated"), say("simulated-hint")) : null, " ",
    device.silent ? mark("bad", say("silent"), say(`cause.${device.silent}`)) : null];
}

export function devicesPage(data, view) {
  const devices = data.devices.filter((one) => view.covers(one.areas));
  const sites = new Map();
  for (const device of devices) sites.set(device.site, [...(sites.get(device.site) || []), device]);
  const order = [...data.areas.map((area) => area.id).filter((id) => sites.has(id)), ...(sites.has("") ? [""] : [])];
  return [el("h1", {}, say("devices")),
    devices.length ? null : el("p", { class: "well quiet" }, say("no-devices")),
    order.map((site) => el("section", {}, el("h2", {}, site ? view.path(site) : say("elsewhere")),
      table(["device", "latest", "age", "state"].map((key) => say(key)), sites.get(site).map((device) => row(device, view)))))];
}

function row(device, view) {
  const values = device.values.slice(0, 3).map((value) => el("span", { class: "pair" }, el("span", { class: "quiet" }, pick(value)), " ", el("span", { class: "figures" }, amount(value))));
  return el("tr", {},
    cell(say("device"), el("a", { href: view.device(device), id: `device-${device.gateway}-${device.device}` }, title(device)), el("span", { class: "under" }, `${device.gateway} / ${device.device}`)),
    el("td", { "data-label": say("latest"), class: "values" }, el("span", {}, values.length ? values : "–")),
    cell(say("age"), el("span", { class: device.silent ? "figures bad" : "figures" }, ago(device.age_ms))),
    cell(say("state"), marks(device)));
}

export function chosenFields(device, view) {
  const all = device.values.map((value) => value.field);
  const chosen = (view.fields ?? "").split(",").filter((field) => all.includes(field));
  return chosen.length || view.fields === "-" ? chosen : all.slice(0, CHOSEN_FIRST);
}

export function devicePage(data, view, lines) {
  const device = data.devices.find((one) => one.gateway === view.gateway && one.device === view.id);
  const back = el("p", { class: "facts" }, el("a", { href: view.link("devices"), id: "back" }, `‹ ${say("all-devices")}`));
  if (!device) return [back, el("p", { class: "well quiet" }, say("no-device"))];
  const chosen = chosenFields(device, view);
  const toggle = (field) => view.setFields(chosen.includes(field) ? chosen.filter((one) => one !== field) : [...chosen, field]);
  return [back,
    el("div", { class: "head" }, el("h1", {}, title(device)), el("div", { class: "marks" }, marks(device))),
    el("p", { class: "quiet" }, [device.site ? view.path(device.site) : "", `${device.gateway} / ${device.device}`].filter(Boolean).join("  ·  ")),
    device.silent ? el("p", { class: "banner" }, say(`cause.${device.silent}`), " ", device.newest_ms === null ? "" : moment(device.newest_ms, data.zone)) : null,
    el("div", { class: "head controls" },
      el("div", { class: "chips", role: "group", "aria-label": say("fields") }, device.values.map((value) =>
        el("button", { id: `field-${value.field}`, type: "button", "aria-pressed": String(chosen.includes(value.field)), onclick: () => toggle(value.field) }, pick(value)))),
      choices("span", Object.entries(RANGES).map(([key, [, , words]]) => [key, say(words)]), view.range, view.setRange, say("period"))),
    chosen.length ? device.values.filter((value) => chosen.includes(value.field)).map((value) => course(data, view, device, value, lines)) : el("p", { class: "well quiet" }, say("choose")),
    el("h2", {}, say("latest")),
    table(["fields", "value", "measured"].map((key) => say(key)), device.values.map((value) => el("tr", {},
      cell(say("fields"), pick(value)), cell(say("value"), el("span", { class: "figures" }, amount(value))), cell(say("measured"), el("span", { class: "figures" }, moment(value.t_ms, data.zone))))))];
}

function course(data, view, device, value, lines) {
  const line = lines.get(lineKey(device, value.field, view.range));
  const name = pick(value), live = view.range !== "fortnight";
  const unit = line && line.counter ? `${value.unit} ${say("per-hour")}` : value.unit;
  const heading = el("h3", {}, name, " ", el("span", { class: "quiet" }, unit));
  if (!line || line.t.length < 2) return el("section", { class: "card course" }, heading, el("div", { class: "plot large empty" }, line ? say("few") : "…"));
  const columns = withHoles(live || line.counter ? [line.t, line.v] : [line.t, line.v, line.low, line.high]);
  const spec = {
    label: `${title(device)}, ${name}`, size: "large", unit, zone: data.zone, bars: Boolean(line.counter), band: columns.length > 2, sync: "device",
    caption: live || line.counter ? "" : say("mean-range"),
  };
  const stretches = live ? [] : [...stretchesOf("summarised", line.t, line.summarised, HOUR_MS), ...stretchesOf("unsure", line.t, line.unsure, HOUR_MS)];
  return el("section", { class: "card course" }, heading, chart(`device/${lineKey(device, value.field, view.range)}`, spec, columns, stretches));
}

export const lineKey = (device, field, range) => `${device.gateway}/${device.device}/${field}/${range}`;
