// Gateways: last heard, version, clock; and who is silent, since when and why.

import { cell, el, mark, table } from "./dom.js";
import { age, ago, moment } from "./format.js";
import { pick, said, say } from "./words.js";

const simulated = (one) => (one.simulated ? mark("simulated", say("simulated"), say("simulated-hint")) : null);

export const clockOff = (gateway) => gateway.clock_unsure_ms !== null || gateway.clock_ahead_ms !== null;
export const silentOf = (data, view) => data.silent.filter((one) => view.covers(one.areas));
export const gatewaysOf = (data, view) => data.gateways.filter((one) => view.covers(one.areas));

export const cause = (name) => (said(`cause.${name}`) ? say(`cause.${name}`) : name.replaceAll("_", " "));

export function silentTable(data, view) {
  const silent = silentOf(data, view);
  if (!silent.length) return el("p", { class: "well good" }, `✓ ${say("all-well")}`);
  return table(["who", "since", "why", "missing"].map((key) => say(key)), silent.map((one) => {
    const missing = Object.values(one.missing).reduce((sum, count) => sum + count, 0);
    const who = one.device ? el("a", { href: view.device(one), id: `silent-${one.gateway}-${one.device}` }, pick(one.title, one.device)) : el("b", {}, one.gateway);
    return el("tr", {},
      cell(say("who"), who, " ", simulated(one), el("span", { class: "under" }, one.device ? `${one.gateway} / ${one.device}` : say("whole-gateway"))),
      cell(say("since"), el("span", { class: "figures" }, one.since_ms === null ? say("never") : [ago(one.for_ms), el("span", { class: "under" }, moment(one.since_ms, data.zone))])),
      cell(say("why"), cause(one.cause)),
      cell(say("missing"), el("span", { class: "figures" }, missing ? say("missing-n", { n: missing }) : "–")));
  }));
}

export function clockWords(one) {
  if (one.clock_ahead_ms !== null) return say("clock-ahead", { age: age(one.clock_ahead_ms) });
  if (one.clock_unsure_ms !== null) return say("clock-unsure", { age: age(one.clock_unsure_ms) });
  return one.heard_ms === null ? say("unknown") : say("clock-good");
}

function row(one, data) {
  return el("tr", {},
    cell(say("gateway"), el("b", {}, one.gateway), " ", simulated(one)),
    cell(say("state"), one.silent ? mark("bad", say("silent")) : mark("good", say("reports"))),
    cell(say("heard"), el("span", { class: "figures" }, ago(one.age_ms))),
    cell(say("data-to"), el("span", { class: "figures" }, one.data_to_ms === null ? "–" : moment(one.data_to_ms, data.zone))),
    cell(say("holds"), one.pending_batches ? say("batches", { n: one.pending_batches }) : say("nothing")),
    cell(say("clock"), clockOff(one) ? mark("warn", clockWords(one)) : clockWords(one)),
    cell(say("version"), el("span", { class: "figures" }, one.version || say("unknown"))));
}

export function gatewaysPage(data, view) {
  const gateways = gatewaysOf(data, view), off = gateways.filter(clockOff);
  return [el("h1", {}, say("gateways")),
    gateways.length ? table(["gateway", "state", "heard", "data-to", "holds", "clock", "version"].map((key) => say(key)), gateways.map((one) => row(one, data))) : el("p", { class: "well quiet" }, say("no-gateways")),
    el("h2", {}, say("silent-head")), silentTable(data, view),
    el("h2", {}, say("clocks")),
    off.length ? table(["gateway", "clock"].map((key) => say(key)), off.map((one) => el("tr", {}, cell(say("gateway"), el("b", {}, one.gateway), " ", simulated(one)), cell(say("clock"), clockWords(one)))))
      : el("p", { class: "well good" }, `✓ ${say("clocks-well")}`)];
}
