// Bins: how full, when last emptied, and which to collect today.

import { bar, cell, el, mark, table } from "./dom.js";
import { age, ago, moment, number, reading, wholePercent } from "./format.js";
import { pick, said, say } from "./words.js";

export const COLLECT_PERCENT = 80;

export const binsOf = (data, view) => data.bins.filter((one) => view.covers(one.areas));

function material(bin) {
  const key = `material.${bin.material}`;
  return bin.material ? (said(key) ? say(key) : bin.material.replaceAll("_", " ")) : "";
}

function states(bin) {
  const marks = [bin.collect ? mark("warn", say("collect"), say("collect-hint", { n: COLLECT_PERCENT })) : null, " ", bin.silent ? mark("bad", say("silent"), say(`cause.${bin.silent}`)) : null];
  return bin.collect || bin.silent ? marks : el("span", { class: "quiet" }, "–");
}

function row(bin, data, view) {
  const known = bin.share !== null;
  const label = known ? `${wholePercent(bin.share)} %` : say("no-weight");
  return el("tr", { class: bin.collect ? "due" : null },
    cell(say("bin"), el("a", { href: view.device(bin), id: `bin-${bin.device}` }, pick(bin.title, bin.device)), " ", bin.simulated ? mark("simulated", say("simulated"), say("simulated-hint")) : null,
      el("span", { class: "under" }, [material(bin), view.name(bin.site)].filter(Boolean).join("  ·  "))),
    el("td", { "data-label": say("fill"), class: "filled" }, el("span", {}, known ? bar(bin.share, bin.collect ? "warn" : "", label) : null, el("b", { class: "figures" }, label))),
    cell(say("content"), el("span", { class: "figures" }, known ? say("of-capacity", { weight: number(bin.weight_kg, 1), capacity: reading(bin.capacity_kg) }) : "–"),
      bin.silent && known ? el("span", { class: "under bad" }, say("old-weight", { age: age(bin.age_ms) })) : null),
    cell(say("emptied"), bin.emptied_ms === null ? say("unknown") : el("span", { class: "figures" }, ago(Math.max(data.now_ms - bin.emptied_ms, 0)), el("span", { class: "under" }, moment(bin.emptied_ms, data.zone)))),
    cell(say("state"), states(bin)));
}

export function binTable(bins, data, view) {
  return table(["bin", "fill", "content", "emptied", "state"].map((key) => say(key)), bins.map((bin) => row(bin, data, view)));
}

export function binsPage(data, view) {
  const bins = binsOf(data, view);
  return [el("h1", {}, say("bins")),
    bins.length ? el("p", { class: "quiet" }, say("bins-say", { n: COLLECT_PERCENT })) : null,
    bins.length ? binTable(bins, data, view) : el("p", { class: "well quiet" }, say("no-bins"))];
}
