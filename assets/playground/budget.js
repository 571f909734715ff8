/** The three ways to say a budget, and where each level lies on their sliders. */
import { fidelity, ms, percent } from './words.js';

/** Positions of the slider, 0 to 1. */
const clamp = (value) => Math.min(1, Math.max(0, value));
const log = (value, low, high) => clamp(Math.log(value / low) / Math.log(high / low));
const exp = (at, low, high) => low * (high / low) ** at;

const flops = {
  label: 'Share of the full network’s FLOPs',
  note: 'The best level within this share of the work. Ticks are the levels of the ladder.',
  start: () => 0.7,
  unit: (model) => `of ${(model.ladder.at(-1)?.gflops ?? 0).toPrecision(3)} GFLOPs`,
  read: (at, model) => Math.round(100 * (lowShare(model) + at * (1 - lowShare(model)))) / 100,
  write: (value, model) => clamp((value - lowShare(model)) / (1 - lowShare(model))),
  show: (value) => percent(value),
  header: (value) => `flops=${value}`,
  client: (value) => ({ flops: value }),
  tick: (level) => level.flops,
};

/** The slider begins at what the smallest level takes, so that every position is feasible. */
function lowShare({ ladder }) {
  return Math.min(0.99, Math.ceil(Math.min(...ladder.map((level) => level.flops)) * 100) / 100);
}

const latency = {
  label: 'Latency target in milliseconds',
  note: 'The best level expected to answer in time, decoding and waiting included. A target: a level always runs.',
  start: (model, decodeMs) => {
    const times = predictions(model);
    return decodeMs + times[Math.floor(times.length / 2)] * 1.15;
  },
  unit: () => 'on the server',
  read: (at, model) => tidy(exp(at, ...latencyRange(model))),
  write: (value, model) => log(value, ...latencyRange(model)),
  show: (value) => ms(value),
  header: (value) => `latency=${value}`,
  client: (value) => ({ latency: value }),
  tick: (level, decodeMs) => fastest(level) + decodeMs,
};

/** Predicted time in the fastest arithmetic, ms; NaN while it is not known. */
function fastest({ predicted_ms: own = Number.NaN, precisions = {} }) {
  const times = Object.values(precisions).map(({ predicted_ms: time = Number.NaN }) => time);
  const known = [own, ...times].filter(Number.isFinite);
  return known.length > 0 ? Math.min(...known) : Number.NaN;
}

function predictions({ ladder }) {
  const times = ladder.map(fastest).filter(Number.isFinite);
  return times.length > 0 ? times.sort((a, b) => a - b) : [10];
}

/** From what no level answers within to what the full network does in any arithmetic, on a busy machine too. */
function latencyRange(model) {
  const { precisions = {}, predicted_ms: own = 0 } = model.ladder[model.ladder.length - 1] ?? {};
  const full = Object.values(precisions).map(({ predicted_ms: time = 0 }) => time);
  return [Math.max(0.5, predictions(model)[0] / 2), 6 * Math.max(own, ...full) + 20];
}

const tidy = (value) => Number(value.toPrecision(value < 10 ? 2 : 3));

const atLeast = {
  label: 'Least fidelity',
  note: 'The cheapest level whose embeddings are at least this close to the full network’s.',
  start: () => 0.9,
  unit: () => 'mean cosine, at least',
  // Half of the slider for the last tenth, where the differences matter.
  read: (at) => Math.round(1000 * (at < 0.5 ? 0.4 + at : 0.8 + at * 0.2)) / 1000,
  write: (value) => clamp(value < 0.9 ? value - 0.4 : (value - 0.8) / 0.2),
  show: (value) => fidelity(value),
  // A floor that is alone means the cheapest level that keeps it.
  header: (value) => `fidelity=${value}`,
  client: (value) => ({ fidelity: value }),
  tick: (level) => level.fidelity,
};

export const KINDS = { flops, latency, fidelity: atLeast };
