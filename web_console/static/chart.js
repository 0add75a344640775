// Lines over time, drawn by uPlot. A chart is kept while its key is shown, so that drawing the page again keeps it.

/* global uPlot */
import { el } from "./dom.js";
import { clock, day, moment, number, reading } from "./format.js";
import { language, say } from "./words.js";

export const HOUR_MS = 3600000, DAY_MS = 86400000;
const DAY_S = 86400;
const STRIP_PX_MIN = 4;
const kept = new Map();

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// spec: {label, unit, zone, size, decimals, bars, band, target, sync, byDay}; data: [times in ms, values, lows, highs];
// stretches: {kind, from_ms, to_ms} of time of which there is something to say.
export function chart(key, spec, data, stretches = []) {
  const shape = JSON.stringify([spec, language()]);
  let entry = kept.get(key);
  if (entry && entry.shape !== shape) {
    drop(key);
    entry = undefined;
  }
  if (!entry) {
    entry = make(key, spec, shape);
    kept.set(key, entry);
  }
  entry.stretches = stretches;
  entry.data = data.map((column, at) => (at ? column : column.map((ms) => ms / 1000)));
  if (entry.plot) entry.plot.setData(entry.data);
  if (entry.at !== null) point(entry, Math.min(entry.at, entry.data[0].length - 1));
  readout(entry, entry.plot?.cursor.idx ?? null);
  return entry.host;
}

export function forgetUnseen() {
  for (const [key, entry] of kept) if (!entry.host.isConnected) drop(key);
}

export function forgetAll() {
  for (const key of [...kept.keys()]) drop(key);
}

function drop(key) {
  const entry = kept.get(key);
  entry.watch.disconnect();
  if (entry.plot) entry.plot.destroy();
  kept.delete(key);
}

function make(key, spec, shape) {
  const value = el("output", { class: "figures" });
  const canvas = el("div", { class: `plot ${spec.size}`, id: `plot/${key}`, tabindex: "0", role: "img", "aria-label": spec.label });
  const host = el("figure", { class: "chart" }, el("figcaption", {}, el("span", {}, spec.caption || ""), value), canvas);
  const entry = { spec, shape, host, canvas, value, plot: null, data: null, at: null, stretches: [] };
  canvas.addEventListener("keydown", (event) => step(entry, event));
  canvas.addEventListener("blur", () => { if (canvas.isConnected) point(entry, null); });
  entry.watch = new ResizeObserver(() => resize(entry));
  entry.watch.observe(canvas);
  return entry;
}

function resize(entry) {
  const width = Math.floor(entry.canvas.clientWidth), height = entry.canvas.clientHeight;
  if (width < 40 || !entry.data) return;
  if (entry.plot) entry.plot.setSize({ width, height });
  else entry.plot = new uPlot(options(entry, width, height), entry.data, entry.canvas);
}

function readout(entry, at) {
  const { spec, data } = entry;
  let shown = at;
  if (shown === null) for (shown = data[0].length - 1; shown > 0 && data[1][shown] === null; ) shown -= 1;
  const value = data[1][shown];
  if (value === undefined || value === null) { entry.value.textContent = "–"; return; }
  const ms = data[0][shown] * 1000;
  const text = spec.decimals === undefined ? reading(value) : number(value, spec.decimals);
  const notes = entry.stretches.filter((one) => one.from_ms <= ms && ms < one.to_ms).map((one) => `  ·  ${say(one.kind)}`);
  entry.value.textContent = `${spec.byDay ? day(ms, spec.zone) : moment(ms, spec.zone)}  ·  ${text} ${spec.unit}${notes.join("")}`;
}

// Arrow keys walk along the line, for whoever has no pointer.
function step(entry, event) {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by || !entry.plot) return;
  event.preventDefault();
  const last = entry.data[0].length - 1;
  point(entry, Math.min(Math.max((entry.at ?? (by > 0 ? -1 : last + 1)) + by, 0), last));
}

function point(entry, at) {
  entry.at = at;
  if (!entry.plot) return;
  const left = at === null ? -10 : entry.plot.valToPos(entry.data[0][at], "x");
  entry.plot.setCursor({ left, top: at === null ? -10 : 1 });
}

function options(entry, width, height) {
  const { spec } = entry;
  const line = colour("--teal"), soft = colour("--soft"), rule = colour("--line");
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const main = { stroke: line, width: 2, points: { show: entry.data[0].length < 20, size: 5, fill: line } };
  if (spec.bars) Object.assign(main, { fill: colour("--teal-bar"), width: 0, paths: uPlot.paths.bars({ size: [0.8, 30], align: 1 }), points: { show: false } });
  const series = [{}, main];
  if (spec.band) series.push({ stroke: "transparent", points: { show: false } }, { stroke: "transparent", points: { show: false } });
  return {
    width, height, series,
    bands: spec.band ? [{ series: [3, 2], fill: colour("--teal-band") }] : [],
    padding: [8, 8, 0, 0],
    legend: { show: false },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), spec.zone),
    scales: { y: { range: (plot, low, high) => room(low, high, spec) } },
    axes: [
      { stroke: soft, font, size: 28, gap: 6, space: 56, grid: { show: false }, ticks: { show: false }, values: (plot, splits, axis, space, step_s) => splits.map((s) => tick(s, step_s, spec.zone)) },
      { stroke: soft, font, size: 56, gap: 6, space: 28, grid: { stroke: rule, width: 1 }, ticks: { show: false }, values: (plot, splits) => labels(splits) },
    ],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 }, sync: spec.sync ? { key: spec.sync } : undefined },
    hooks: {
      setCursor: [(plot) => readout(entry, plot.cursor.idx ?? null)],
      draw: [(plot) => dash(plot, spec.target, soft), (plot) => place(plot, entry.stretches)],
    },
  };
}

// Strips along the axis, one row for each kind, that say in words what they mean.
function place(plot, stretches) {
  const drawn = JSON.stringify([stretches, plot.scales.x.min, plot.scales.x.max, plot.over.clientWidth]);
  // What has not moved stays, so that its words can be read in peace.
  if (plot.over.dataset.stretches === drawn) return;
  plot.over.dataset.stretches = drawn;
  for (const old of plot.over.querySelectorAll(".stretch")) old.remove();
  for (const { kind, from_ms, to_ms } of stretches) {
    const left = plot.valToPos(from_ms / 1000, "x"), right = Math.min(plot.valToPos(to_ms / 1000, "x"), plot.over.clientWidth);
    const strip = el("div", { class: `stretch ${kind}`, title: `${say(kind)}: ${say(`${kind}-hint`)}` });
    strip.style.left = `${left}px`;
    strip.style.width = `${Math.max(right - left, STRIP_PX_MIN)}px`;
    plot.over.append(strip);
  }
}

// Periods that are flagged, those that follow each other as one.
export function stretchesOf(kind, times, flags, length_ms) {
  const found = [];
  times.forEach((t, at) => {
    const last = found.at(-1);
    if (flags[at] && last && last.to_ms === t) last.to_ms = t + length_ms;
    else if (flags[at]) found.push({ kind, from_ms: t, to_ms: t + length_ms });
  });
  return found;
}

function room(low, high, spec) {
  if (low === null || high === null) return [0, 1];
  const goal = spec.target ?? null;
  const least = goal === null ? low : Math.min(low, goal), most = goal === null ? high : Math.max(high, goal);
  if (spec.bars) return [Math.min(least, 0), most * 1.08 || 1];
  // A line that hardly moves must look so: the axis spans some steps of what is shown of a number, and of the number.
  const span_min = Math.max(Math.abs(most) * 0.02, spec.decimals === undefined ? 0 : 4 / 10 ** spec.decimals) || 1;
  const more = Math.max((most - least) * 0.12, (span_min - (most - least)) / 2);
  return [least >= 0 ? Math.max(least - more, 0) : least - more, most + more];
}

function tick(seconds, step_s, zone) {
  const ms = seconds * 1000;
  if (step_s >= DAY_S) return day(ms, zone);
  const text = clock(ms, zone);
  return text === "00:00" ? day(ms, zone) : text;
}

function labels(splits) {
  const step = splits.length > 1 ? splits[1] - splits[0] : 1;
  const decimals = Math.min(Math.max(-Math.floor(Math.log10(step) + 1e-9), 0), 6);
  const millions = splits.some((value) => Math.abs(value) >= 1e6);
  return splits.map((value) => (millions ? `${number(value / 1e6, step < 1e5 ? 2 : 1)} M` : number(value, decimals)));
}

function dash(plot, target, stroke) {
  if (target === undefined || target === null) return;
  const { ctx, bbox } = plot, y = Math.round(plot.valToPos(target, "y", true)) + 0.5;
  ctx.save();
  ctx.strokeStyle = stroke;
  ctx.setLineDash([6, 5]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}

// Columns with a hole where points lie further apart than usual, so that no line is drawn over missing readings.
export function withHoles(columns) {
  const times = columns[0];
  const steps = times.slice(1).map((t, at) => t - times[at]).sort((a, b) => a - b);
  const limit = 2.5 * (steps[Math.floor(steps.length / 2)] || 1);
  const out = columns.map(() => []);
  times.forEach((t, at) => {
    if (at && t - times[at - 1] > limit) out.forEach((column, which) => column.push(which ? null : (t + times[at - 1]) / 2));
    out.forEach((column, which) => column.push(columns[which][at]));
  });
  return out;
}
