// What the page says, in the language that was chosen here before, else in the one that the browser asked for.

import { CHINESE } from "./chinese.js";

const KEPT = "loopgauge.language";

const ENGLISH = {
  "live": "live", "still": "not up to date", "loading": "Loading …", "never": "never", "ago": "{age} ago", "now": "just now",
  "no-server": "This page's server does not answer.", "no-store": "The store does not answer.", "as-of": "What is shown is of {time}.",
  "area": "Area", "everywhere": "All areas", "period": "Period", "fields": "Measurements",
  "simulated": "simulated", "simulated-hint": "comes from a simulated device, not from a real one",
  "unit.d": "{n} d", "unit.h": "{n} h", "unit.min": "{n} min", "unit.s": "{n} s",
  "to-collect": "Bins to collect today", "to-collect-none": "No bin needs collecting today.", "of": "of {n}",
  "silent-ones": "Silent", "clocks-off": "Clocks to check", "speaking": "Devices reporting",
  "indicators": "Indicators", "14d": "14 days", "24h": "24 hours", "3h": "3 hours, live", "24h-live": "24 hours, live",
  "today": "today", "last-day": "last day with data", "day-before": "the day before: {value}",
  "no-value": "No value", "no-indicator": "Nothing is measured for an indicator in this area.", "no-readings": "no figure in the last 14 days",
  "target": "Target {year}", "reference": "Usual", "met": "reached", "missed": "not reached", "met-so-far": "reached so far", "missed-so-far": "not reached so far",
  "usual-met": "within the usual range", "usual-missed": "outside the usual range",
  "complete": "{n} % of readings received", "incomplete": "incomplete", "incomplete-hint": "readings are missing in this period", "summarised": "summarised", "summarised-hint": "a gateway was cut off for long: of some hours it kept totals and changes, not every reading", "unsure": "time uncertain", "unsure-hint": "a gateway did not know the time: some readings may belong to the period before or after, and the uncertainty includes that", "between": "uncertainty: {low} to {high} {sign}", "until": "{from} – {to}",
  "reason.no-meter": "Not all meters that this takes were in service.", "reason.no-readings": "There are no readings of {names}.", "reason.zero": "Nothing to compare with: {names} did not count.", "reason.without": "Without {names}: there are no readings.",
  "more": "How it is measured", "formula": "Formula", "source": "Source", "department": "Responsible", "target-source": "Target from", "baseline": "Start", "note": "Note", "rule": "Rule",
  "day-by-day": "day by day", "hour-by-hour": "hour by hour", "dashed-target": "dashed: target", "dashed-usual": "dashed: usual", "where": "Where",
  "bins": "Bins", "collect": "Collect today", "collect-hint": "at least {n} % full", "bins-say": "A bin that is at least {n} % full is to be collected today.",
  "bin": "Bin", "fill": "Filled", "content": "Content", "emptied": "Last emptied", "of-capacity": "{weight} of {capacity} kg", "no-weight": "not weighed yet", "unknown": "not known", "no-bins": "There are no bins in this area.", "old-weight": "weighed {age} ago",
  "material.paper": "paper", "material.plastic": "plastic", "material.glass": "glass", "material.metal": "metal", "material.textile": "textiles", "material.food": "food waste", "material.residual": "residual waste", "material.cardboard": "cardboard",
  "devices": "Devices", "device": "Device", "latest": "Latest values", "age": "Age", "no-devices": "There are no devices in this area.", "elsewhere": "Not assigned to a site", "all-devices": "All devices", "value": "Value", "measured": "Measured",
  "per-hour": "per hour", "mean-range": "hourly mean; shaded: least to greatest", "few": "Too few readings for a line.", "no-device": "This device is not known.", "choose": "Choose at least one measurement.",
  "gateways": "Gateways", "gateway": "Gateway", "heard": "Last heard", "version": "Version", "data-to": "Data up to", "holds": "Still to send", "nothing": "nothing", "batches": "{n} batches", "clock": "Clock", "clock-good": "right", "state": "State", "reports": "reporting", "silent": "silent", "no-gateways": "There are no gateways in this area.",
  "clock-unsure": "not set reliably: may be off by up to {age}", "clock-ahead": "{age} fast", "clocks": "Gateways whose clock is off", "clocks-well": "All clocks are right.",
  "silent-head": "Silent devices and gateways", "who": "Who", "since": "Since", "why": "Why", "missing": "Missing", "missing-n": "{n} readings of late", "whole-gateway": "whole gateway", "all-well": "All devices and gateways report.",
  "cause.timeout": "It does not answer.", "cause.exception": "It answers that it cannot.", "cause.invalid": "It answers that it has no value.", "cause.bus_down": "Its line or connection is down.", "cause.asleep": "It has not answered for long and is asked less often.", "cause.overrun": "Its line is too busy.", "cause.disk_full": "The gateway's disk is full.",
  "cause.gateway_silent": "Nothing comes from its gateway: check power and network.", "cause.never_heard": "Nothing has ever come from this gateway.", "cause.not_polled": "Its gateway no longer reads it.", "cause.no_reason": "Its gateway gives no reason.",
};

const TABLES = { en: ENGLISH, zh: CHINESE };
const LOCALES = { en: "en-GB", zh: "zh-CN" };

function remembered() {
  try { return localStorage.getItem(KEPT); } catch { return null; }
}

export const language = () => (document.documentElement.lang.startsWith("zh") ? "zh" : "en");
export const locale = () => LOCALES[language()];

export function useLanguage(name, keep) {
  document.documentElement.lang = TABLES[name] ? name : "en";
  if (keep) try { localStorage.setItem(KEPT, name); } catch { /* private windows may forbid it */ }
}

export function startLanguage() {
  const kept = remembered();
  if (TABLES[kept]) useLanguage(kept, false);
}

export function say(key, values) {
  const text = TABLES[language()][key] ?? ENGLISH[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (values && name in values ? values[name] : whole));
}

export const said = (key) => key in ENGLISH;

// A name that comes in both languages; what lacks one is shown in the other.
export function pick(names, otherwise) {
  if (!names) return otherwise || "";
  return names[language()] || names.en || names.zh || otherwise || "";
}
