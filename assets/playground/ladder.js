/** The ladder of a model: two plots and a table. */
import { byId, el } from './dom.js';
import { plot, ticks } from './plot.js';
import { count, fidelity, ms, percent } from './words.js';

/**
 * @param {(level: object) => void} onTry somebody wants to try a level
 * @returns `show(model, current, measured)`; `measured` holds engine times by level, ms
 */
export function ladderView(onTry) {
  let shown;
  const drawFidelity = plot(byId('plot-fidelity'), () => shown && fidelityPlot(shown));
  const drawTime = plot(byId('plot-time'), () => shown && timePlot(shown));
  return {
    show(model, current, measured) {
      shown = { model, current, measured };
      const { ladder } = model;
      const smallest = ladder[0];
      byId('ladder-lead').textContent =
        `One checkpoint of ${model.id} holds ${ladder.length} levels, each a part of the next. The smallest takes ` +
        `${percent(smallest?.flops ?? 1)} of the FLOPs and keeps a fidelity of ${fidelity(smallest?.fidelity ?? 1)}.`;
      byId('levels').replaceChildren(...table(shown, onTry));
      drawFidelity();
      drawTime();
    },
  };
}

function xAxis(ladder) {
  const from = Math.max(0, Math.floor(Math.min(...ladder.map(({ flops }) => flops)) * 10 - 0.5) / 10);
  return { from, to: 1.02, ticks: ticks(from, 1, 4), text: (value) => percent(value), title: 'share of the FLOPs' };
}

function fidelityPlot({ model: { ladder }, current }) {
  const low = Math.min(...ladder.map((level) => level.fidelity_p5));
  const from = Math.max(0, Math.floor(low * 10 - 0.01) / 10);
  return {
    label: `Fidelity against FLOPs: from ${fidelity(ladder[0].fidelity)} at ${percent(ladder[0].flops)} to ${fidelity(ladder.at(-1).fidelity)} at full size.`,
    x: xAxis(ladder),
    y: { from, to: 1.04, ticks: ticks(from, 1, 5), text: (value) => value.toFixed(1) },
    line: ladder.map((level) => [level.flops, level.fidelity]),
    band: [
      ...ladder.map((level) => [level.flops, level.fidelity]),
      ...ladder.map((level) => [level.flops, level.fidelity_p5]).reverse(),
    ],
    dots: ladder.map((level) => ({
      x: level.flops,
      y: level.fidelity,
      name: String(level.level),
      text: `Level ${level.level}: fidelity ${fidelity(level.fidelity)} at ${percent(level.flops, 1)} of the FLOPs`,
      current: level.level === current,
    })),
  };
}

function timePlot({ model: { ladder }, current, measured }) {
  const timed = ladder.filter((level) => level.predicted_ms !== undefined);
  if (timed.length === 0) return undefined;
  const rings = timed
    .filter(({ level }) => measured.has(level))
    .map(({ level, flops }) => ({ x: flops, y: measured.get(level) }));
  const to = 1.15 * Math.max(...timed.map((level) => level.predicted_ms), ...rings.map(({ y }) => y));
  return {
    label: `Predicted time against FLOPs: from ${ms(timed[0].predicted_ms)} to ${ms(timed.at(-1).predicted_ms)}.`,
    x: xAxis(ladder),
    y: { from: 0, to, ticks: ticks(0, to, 4), text: (value) => `${Number(value.toPrecision(3))} ms` },
    line: timed.map((level) => [level.flops, level.predicted_ms]),
    rings,
    dots: timed.map((level) => ({
      x: level.flops,
      y: level.predicted_ms,
      name: String(level.level),
      text: `Level ${level.level}: ${ms(level.predicted_ms)} predicted at ${percent(level.flops, 1)} of the FLOPs`,
      current: level.level === current,
    })),
  };
}

function table({ model, current }, onTry) {
  const heads = ['Level', 'FLOPs', 'GFLOPs', 'Parameters', 'Fidelity', '5th percentile', 'Predicted', ''];
  const rows = model.ladder.map((level) =>
    el('tr', { class: level.level === current ? 'current' : undefined },
      el('th', { scope: 'row', text: String(level.level) }),
      el('td', { text: percent(level.flops, 1) }),
      el('td', { text: level.gflops.toPrecision(3) }),
      el('td', { text: count(level.params) }),
      el('td', { text: fidelity(level.fidelity) }),
      el('td', { text: fidelity(level.fidelity_p5) }),
      el('td', { text: level.loaded ? ms(level.predicted_ms) : 'loading' }),
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
    el('thead', {}, el('tr', {}, ...heads.map((text) =>
      text ? el('th', { scope: 'col', text }) : el('td', {})))),
    el('tbody', {}, ...rows),
  ];
}
