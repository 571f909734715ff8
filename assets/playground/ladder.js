/** The ladder of a model: two plots and a table. */
import { byId, el } from './dom.js';
import { plot, ticks } from './plot.js';
import { count, fidelity, ms, percent, worth } from './words.js';

/**
 * @param {(level: object) => void} onTry somebody wants to try a level
 * @returns `show(model, current, measured)`: the answer that ran last, and engine times (`level`, `precision`, `ms`)
 */
export function ladderView(onTry) {
  let shown;
  const drawFidelity = plot(byId('plot-fidelity'), () => shown && fidelityPlot(shown));
  const drawTime = plot(byId('plot-time'), () => shown && timePlot(shown));
  return {
    show(model, current, measured) {
      const precisions = precisionsOf(model);
      shown = { model, current, measured, precisions };
      const [smallest] = model.ladder;
      byId('ladder-lead').textContent =
        `One checkpoint of ${model.id} holds ${model.ladder.length} levels, each a part of the next. The smallest takes ` +
        `${percent(smallest?.flops ?? 1)} of the FLOPs and keeps a fidelity of ${fidelity(smallest?.fidelity ?? 1)}.`;
      for (const legend of document.querySelectorAll('.legend')) legend.replaceChildren(...keys(precisions));
      byId('levels').replaceChildren(...table(shown, onTry));
      drawFidelity();
      drawTime();
    },
  };
}

const precisionsOf = ({ ladder }) => [
  ...new Set(['fp32', ...ladder.flatMap(({ precisions = {} }) => Object.keys(precisions))]),
];

/** Which line is which, once there are several. */
const keys = (precisions) =>
  precisions.length < 2 ? [] : precisions.map((name) => el('span', { class: `legend-key ${name}`, text: name }));

/** The levels that a precision has: `level`, `flops`, `fidelity`, `fidelity_p5`, `predicted_ms`. */
const series = (ladder, precision) =>
  ladder
    .filter(({ precisions }) => precision === 'fp32' || precisions?.[precision])
    .map((level) => ({ level: level.level, flops: level.flops, ...worth(level, precision) }));

function xAxis(ladder) {
  const from = Math.max(0, Math.floor(Math.min(...ladder.map(({ flops }) => flops)) * 10 - 0.5) / 10);
  return { from, to: 1.02, ticks: ticks(from, 1, 4), text: (value) => percent(value), title: 'share of the FLOPs' };
}

/** Lines and dots of every precision. `y` picks the value, `words` says it. */
function drawn({ model: { ladder }, current, precisions }, y, words) {
  const all = precisions.map((name) => ({ name, levels: series(ladder, name).filter((level) => y(level) !== undefined) }));
  return {
    x: xAxis(ladder),
    lines: all.map(({ name, levels }) => ({ class: name, points: levels.map((level) => [level.flops, y(level)]) })),
    dots: all.flatMap(({ name, levels }) =>
      levels.map((level) => ({
        class: name,
        x: level.flops,
        y: y(level),
        name: String(level.level),
        text: `Level ${level.level}, ${name}: ${words(level)} at ${percent(level.flops, 1)} of the FLOPs`,
        current: level.level === current?.level && name === current.precision,
      })),
    ),
  };
}

function fidelityPlot(shown) {
  const { ladder } = shown.model;
  const from = Math.max(0, Math.floor(Math.min(...ladder.map((level) => level.fidelity_p5)) * 10 - 0.01) / 10);
  return {
    ...drawn(shown, (level) => level.fidelity, (level) => `fidelity ${fidelity(level.fidelity)}`),
    label: `Fidelity against FLOPs: from ${fidelity(ladder[0].fidelity)} at ${percent(ladder[0].flops)} to ${fidelity(ladder.at(-1).fidelity)} at full size.`,
    y: { from, to: 1 + 0.06 * (1 - from), ticks: ticks(from, 1, 5), text: (value) => value.toFixed(1 - from < 0.25 ? 2 : 1) },
    band: [
      ...ladder.map((level) => [level.flops, level.fidelity]),
      ...ladder.map((level) => [level.flops, level.fidelity_p5]).reverse(),
    ],
  };
}

function timePlot(shown) {
  const { ladder } = shown.model;
  const plotted = drawn(shown, (level) => level.predicted_ms, (level) => `${ms(level.predicted_ms)} predicted`);
  if (plotted.dots.length === 0) return undefined;
  const rings = shown.measured
    .filter(({ level, ms: time }) => ladder[level] && Number.isFinite(time))
    .map(({ level, precision, ms: y }) => ({ class: precision, x: ladder[level].flops, y }));
  const times = plotted.dots.map(({ y }) => y);
  const to = 1.15 * Math.max(...times, ...rings.map(({ y }) => y));
  return {
    ...plotted,
    label: `Predicted time against FLOPs: from ${ms(Math.min(...times))} to ${ms(Math.max(...times))}.`,
    y: { from: 0, to, ticks: ticks(0, to, 4), text: (value) => `${Number(value.toPrecision(3))} ms` },
    rings,
  };
}

function table({ model, current, precisions }, onTry) {
  const others = precisions.filter((name) => name !== 'fp32');
  const heads = [
    'Level', 'FLOPs', 'GFLOPs', 'Parameters', 'Fidelity', '5th percentile', 'Predicted',
    ...others.flatMap((name) => [`Fidelity, ${name}`, `Predicted, ${name}`]),
  ];
  const rows = model.ladder.map((level) =>
    el('tr', { class: level.level === current?.level ? 'current' : undefined },
      el('th', { scope: 'row', text: String(level.level) }),
      ...cells(level, others).map((text) => el('td', { text })),
      el('td', {}, el('button', {
        type: 'button',
        class: 'quiet',
        text: 'Try',
        'aria-label': `Try level ${level.level}`,
        onclick: () => onTry(level),
      })),
    ),
  );
  return [
    el('caption', { class: 'hidden', text: `Levels of ${model.id}` }),
    el('thead', {}, el('tr', {}, ...heads.map((text) => el('th', { scope: 'col', text })), el('td'))),
    el('tbody', {}, ...rows),
  ];
}

function cells(level, others) {
  return [
    percent(level.flops, 1),
    level.gflops.toPrecision(3),
    count(level.params),
    fidelity(level.fidelity),
    fidelity(level.fidelity_p5),
    level.loaded ? ms(level.predicted_ms) : 'loading',
    ...others.flatMap((name) => {
      const entry = level.precisions?.[name];
      return entry ? [fidelity(entry.fidelity), level.loaded ? ms(entry.predicted_ms) : 'loading'] : ['–', '–'];
    }),
  ];
}
