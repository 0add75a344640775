// Indicators against their targets, for one area and what lies in it.

import { bar, choices, el, mark } from "./dom.js";
import { chart, DAY_MS, HOUR_MS, stretchesOf } from "./chart.js";
import { number, percent, span } from "./format.js";
import { pick, say } from "./words.js";

const withSign = (value, indicator) => `${number(value, indicator.decimals)} ${indicator.sign}`;

// Rollups give their reasons in English; those that are known are said in the page's language.
const REASONS = [
  [/^no asset in \S+ has the role \S+ in this period$/, "reason.no-meter"],
  [/^no readings of (?<names>.+) to tell \S+ by$/, "reason.no-readings"],
  [/^the denominator is 0: (?<names>.+) did not count$/, "reason.zero"],
  [/^without (?<names>.+): no readings$/, "reason.without"],
];

export function reason(text) {
  for (const [pattern, key] of REASONS) {
    const found = pattern.exec(text);
    if (found) return say(key, found.groups);
  }
  return text;
}

export function indicators(data, view) {
  const cards = [];
  for (const indicator of data.indicators) {
    const areas = indicator.areas.filter((area) => view.within(area.id));
    const top = view.area ? areas.find((area) => area.id === view.area) : areas[0];
    if (top) cards.push(card(data, view, indicator, top, areas.filter((area) => area.depth > top.depth)));
    else if (!view.area) cards.push(el("article", { class: "card" }, el("h3", {}, pick(indicator.title)), el("p", { class: "value none" }, say("no-value")), el("p", { class: "facts" }, say("no-readings"))));
  }
  const ranges = choices("range", [["days", say("14d")], ["hours", say("24h")]], view.trend, view.setTrend, say("period"));
  return el("section", { "aria-labelledby": "h-indicators" },
    el("div", { class: "head" }, el("h2", { id: "h-indicators" }, say("indicators")), cards.length ? ranges : null),
    cards.length ? el("div", { class: "cards" }, cards) : el("p", { class: "well quiet" }, say("no-indicator")));
}

function card(data, view, indicator, area, below) {
  const figure = area.day;
  const marks = el("div", { class: "marks" },
    figure && figure.simulated ? mark("simulated", say("simulated"), say("simulated-hint")) : null,
    figure && figure.partial ? mark("warn", say("incomplete"), say("incomplete-hint")) : null,
    figure && figure.summarised ? mark("quiet", say("summarised"), say("summarised-hint")) : null,
    figure && figure.time_unsure ? mark("quiet", say("unsure"), say("unsure-hint")) : null);
  return el("article", { class: "card indicator" },
    el("header", {}, el("h3", {}, pick(indicator.title)), marks),
    el("p", { class: "quiet" }, view.name(area.id)),
    headline(indicator, figure),
    goal(area, figure, indicator),
    figure ? facts(indicator, area, figure) : null,
    trend(view, indicator, area),
    places(view, indicator, area, below),
    more(view, indicator, area, figure));
}

function headline(indicator, figure) {
  if (!figure || figure.value === null) {
    return el("div", {}, el("p", { class: "value none" }, say("no-value")), el("p", { class: "facts" }, figure ? reason(figure.reason) : say("no-readings")));
  }
  const when = say(figure.is_today ? "today" : "last-day");
  return el("p", { class: "value figures" }, number(figure.value, indicator.decimals), el("span", { class: "sign" }, `${indicator.sign}  ${when}`));
}

// A target is of a whole year, a day is not: so the verdict says "so far", and beside it stands what is compared.
function goal(area, figure, indicator) {
  const target = area.target;
  if (!target) return null;
  const usual = target.nature === "reference", known = figure && figure.target_met !== null;
  const whole = usual || !figure || !figure.against || figure.against.kind === "year";
  const name = usual ? say("reference") : say("target", { year: target.year ?? "" });
  const promise = `${name} ${target.sense === "at_least" ? "≥" : "≤"} ${number(target.value, Number.isInteger(target.value) ? 0 : indicator.decimals)} ${indicator.sign}`;
  const verdict = !known ? "" : say(`${usual ? "usual-" : ""}${figure.target_met ? "met" : "missed"}${whole ? "" : "-so-far"}`);
  return el("div", { class: "goal" },
    el("p", {}, promise, " ", verdict ? mark(figure.target_met ? "good" : "warn", `${figure.target_met ? "✓" : "!"} ${verdict}`) : null),
    figure && figure.against && known ? el("p", { class: "facts" }, pick(figure.against)) : null);
}

function facts(indicator, area, figure) {
  const share = figure.completeness ?? 0, lines = [];
  if (figure.value !== null && figure.low !== null && figure.high !== null) {
    lines.push(say("between", { low: number(figure.low, indicator.decimals), high: number(figure.high, indicator.decimals), sign: indicator.sign }));
  }
  if (area.day_before && area.day_before.value !== null) lines.push(say("day-before", { value: withSign(area.day_before.value, indicator) }));
  const said = say("complete", { n: percent(share) });
  return el("div", { class: "quality" },
    bar(share, figure.partial ? "warn" : "", said),
    el("p", { class: "facts figures" }, `${said}  ·  ${span(figure.from_ms, figure.to_ms, area.zone)}`),
    lines.map((line) => el("p", { class: "facts figures" }, line)),
    figure.value !== null && figure.reason ? el("p", { class: "facts" }, reason(figure.reason)) : null);
}

function trend(view, indicator, area) {
  const rows = area[view.trend];
  const times = rows.map((row) => row[0]), values = rows.map((row) => row[1]);
  if (values.filter((value) => value !== null).length < 2) return el("div", { class: "plot small empty" });
  const spec = {
    label: pick(indicator.title), size: "small", unit: indicator.sign, decimals: indicator.decimals, zone: area.zone, byDay: view.trend === "days",
    target: area.target ? area.target.value : null,
    caption: [say(view.trend === "days" ? "day-by-day" : "hour-by-hour"), area.target ? say(area.target.nature === "reference" ? "dashed-usual" : "dashed-target") : ""].filter(Boolean).join("  ·  "),
  };
  const stretches = [["summarised", 3], ["unsure", 4]].flatMap(([kind, at]) => stretchesOf(kind, times, rows.map((row) => row[at]), view.trend === "days" ? DAY_MS : HOUR_MS));
  return chart(`indicator/${indicator.id}/${area.id}/${view.trend}`, spec, [times, values], stretches);
}

// One place below another is a path; several beside each other are compared.
function places(view, indicator, area, below) {
  if (!below.length) return null;
  const link = (one) => el("a", { href: view.link("", { area: one.id }), id: `place-${indicator.id}-${one.id}` }, view.name(one.id));
  const depths = below.map((one) => one.depth);
  if (new Set(depths).size === depths.length) return el("p", { class: "facts path" }, `${say("where")}: `, below.flatMap((one, at) => (at ? [" › ", link(one)] : [link(one)])));
  const rows = below.map((one) => {
    const name = el("td", {}, link(one));
    name.style.paddingLeft = `${0.9 * Math.max(one.depth - area.depth - 1, 0)}rem`;
    const value = one.day && one.day.value !== null ? withSign(one.day.value, indicator) : say("no-value");
    return el("tr", {}, name, el("td", { class: "figures right" }, value));
  });
  return el("table", { class: "bare" }, el("tbody", {}, rows));
}

function more(view, indicator, area, figure) {
  const target = area.target, key = `more-${indicator.id}`;
  const entries = [["formula", pick(indicator.formula)], ["source", pick(indicator.source)], ["note", pick(indicator.note)]];
  if (target) {
    entries.push(["department", pick(target.department)], ["target-source", pick(target.source)], ["note", pick(target.note)]);
    if (target.baseline) entries.push(["baseline", `${target.baseline[0]}: ${withSign(target.baseline[1], indicator)}`]);
  }
  if (figure) entries.push(["rule", figure.rule]);
  const list = el("dl", {}, entries.filter(([, text]) => text).flatMap(([name, text]) => [el("dt", {}, say(name)), el("dd", {}, text)]));
  const node = el("details", { ontoggle: () => view.remember(key, node.open) }, el("summary", { id: key }, say("more")), list);
  if (view.remembers(key)) node.open = true;
  return node;
}
