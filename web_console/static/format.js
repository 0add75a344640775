// Numbers and times as people write them, in the page's language and the place's time zone.

import { locale, say } from "./words.js";

export const ABSENT = "–";
const formats = new Map();

function dates(zone, options) {
  const key = JSON.stringify([locale(), zone, options]);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(locale(), { timeZone: zone, hourCycle: "h23", ...options }));
  return formats.get(key);
}

export const clock = (ms, zone) => dates(zone, { hour: "2-digit", minute: "2-digit" }).format(ms);
export const day = (ms, zone) => dates(zone, { day: "numeric", month: "short" }).format(ms);
export const moment = (ms, zone) => `${day(ms, zone)} ${clock(ms, zone)}`;
export const full = (ms, zone) =>
  dates(zone, { weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(ms);

export function span(from_ms, to_ms, zone) {
  const same = day(from_ms, zone) === day(to_ms, zone);
  return say("until", { from: moment(from_ms, zone), to: same ? clock(to_ms, zone) : moment(to_ms, zone) });
}

export function age(ms) {
  const s = Math.round(ms / 1000);
  if (s < 90) return say("unit.s", { n: s });
  if (s < 5400) return say("unit.min", { n: Math.round(s / 60) });
  if (s < 48 * 3600) return say("unit.h", { n: Math.round(s / 3600) });
  return say("unit.d", { n: Math.round(s / 86400) });
}

export function ago(ms) {
  if (ms === null) return say("never");
  return ms < 10000 ? say("now") : say("ago", { age: age(ms) });
}

export function number(value, decimals) {
  return value === null || value === undefined ? ABSENT
    : value.toLocaleString(locale(), { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

// As many digits as say something: a total of ten thousand needs no thousandths.
export function reading(value) {
  const size = Math.abs(value);
  return value.toLocaleString(locale(), { maximumFractionDigits: size >= 1000 ? 1 : size >= 10 ? 2 : 3 });
}

// Rounded down, so that nothing is called complete or full that is not.
export const percent = (share) => number(Math.floor(share * 1000) / 10, 1);
export const wholePercent = (share) => number(Math.floor(share * 100), 0);
