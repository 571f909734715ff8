/** Live load: the gateway's metrics, once a second while the view is open. */
import { embedForm, metrics, sample } from './api.js';
import { alertIn, byId, el, style, svg } from './dom.js';
import { parseExposition, total } from './exposition.js';
import { percent, sentence } from './words.js';

const PERIOD_MS = 1000;
const WINDOW = 60;

/** What is shown of a moment, from two readings: rates per second, and gauges as they are. */
const TILES = [
  { id: 'waiting', title: 'Waiting', of: ({ now }) => total(now, 'concertina_waiting') },
  { id: 'running', title: 'In the engine', of: ({ now }) => total(now, 'concertina_running') },
  { id: 'images', title: 'Images per second', of: (step) => rate(step, 'concertina_images_total') },
  { id: 'degraded', title: 'Degraded per second', of: (step) => rate(step, 'concertina_degradations_total') },
  { id: 'refused', title: 'Refused per second', of: (step) => rate(step, 'concertina_sheds_total') },
];

function rate({ before, now, seconds }, name) {
  return before ? Math.max(0, total(now, name) - total(before, name)) / seconds : 0;
}

/** @param {() => { levels: number, samples: readonly { file: string }[], model: string }} context */
export function loadView(context) {
  /** @type {{ at: number, values: Map<string, number>, metrics: Map<string, object[]> }[]} */
  const readings = [];
  const tiles = TILES.map(({ id, title }) => {
    const value = el('p', { class: 'tile-value', id: `tile-${id}`, text: '–' });
    const line = el('div', { class: 'spark', 'aria-hidden': 'true' });
    return { value, line, element: el('section', { class: 'card tile' }, el('h2', { text: title }), value, line) };
  });
  byId('tiles').replaceChildren(...tiles.map(({ element }) => element));
  let timer;

  async function read() {
    try {
      const now = parseExposition(await metrics(AbortSignal.timeout(5000)));
      const last = readings.at(-1);
      const at = performance.now();
      const step = { before: last?.metrics, now, seconds: last ? (at - last.at) / 1000 : 1 };
      readings.push({ at, metrics: now, values: new Map(TILES.map(({ id, of }) => [id, of(step)])) });
      if (readings.length > WINDOW + 1) readings.shift();
      alertIn(byId('load-problem'), undefined);
      draw();
    } catch (error) {
      const missing = error?.status === 404;
      alertIn(byId('load-problem'), missing ? 'This gateway publishes no metrics.' : sentence(error));
    }
  }

  function draw() {
    TILES.forEach(({ id }, index) => {
      const series = readings.map(({ values }) => values.get(id) ?? 0);
      const { value, line } = tiles[index];
      const last = series.at(-1) ?? 0;
      value.textContent = last < 10 && last % 1 !== 0 ? last.toFixed(1) : String(Math.round(last));
      line.replaceChildren(sparkline(series));
    });
    byId('mix').replaceChildren(...mix(readings, context().levels));
  }

  async function loop() {
    await read();
    if (timer !== undefined) timer = setTimeout(loop, PERIOD_MS);
  }
  press(context);
  return {
    open() {
      if (timer !== undefined) return;
      timer = 0;
      void loop();
    },
    close() {
      clearTimeout(timer);
      timer = undefined;
    },
  };
}

function sparkline(series) {
  const [width, height] = [200, 40];
  const top = Math.max(1, ...series);
  const x = (i) => width - ((series.length - 1 - i) / WINDOW) * width;
  const y = (value) => height - 2 - (value / top) * (height - 6);
  const points = series.map((value, i) => `${x(i).toFixed(1)} ${y(value).toFixed(1)}`);
  const root = svg('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none' });
  if (points.length > 1)
    root.append(
      svg('path', { class: 'spark-area', d: `M${x(0)} ${height}L${points.join('L')}L${width} ${height}Z` }),
      svg('path', { class: 'spark-line', d: `M${points.join('L')}` }),
    );
  return root;
}

/** Images by level in every tier, over the readings that are kept. */
function mix(readings, levels) {
  const name = 'concertina_images_total';
  const [first, last] = [readings[0]?.metrics, readings.at(-1)?.metrics];
  if (!first || !last) return [];
  const tiers = new Set([
    ...(last.get('concertina_waiting') ?? []).map(({ labels }) => labels.tier),
    ...(last.get(name) ?? []).map(({ labels }) => labels.tier),
  ]);
  return [...tiers].sort().map((tier) => {
    const counts = Array.from({ length: levels }, (_, level) => {
      const holds = (labels) => labels.tier === tier && Number(labels.level) === level;
      return Math.max(0, total(last, name, holds) - total(first, name, holds));
    });
    const sum = counts.reduce((a, b) => a + b, 0);
    const parts = counts
      .map((count, level) => ({ count, level, share: sum > 0 ? count / sum : 0 }))
      .filter(({ count }) => count > 0);
    const bar = el('div', { class: 'mix-bar', 'aria-hidden': 'true' });
    for (const { level, share } of parts) {
      const part = el('span', { text: share > 0.05 ? String(level) : '' });
      const depth = levels > 1 ? level / (levels - 1) : 1;
      style(part, { 'flex-grow': String(share), '--depth': `${Math.round(18 + 82 * depth)}%` });
      part.classList.toggle('deep', depth > 0.45);
      bar.append(part);
    }
    const of = (metric) => total(last, metric, (labels) => labels.tier === tier);
    return el('div', { class: 'mix-row' },
      el('h3', { text: tier }),
      bar,
      el('p', { class: 'small muted' },
        el('span', { text: sum > 0 ? `${sum} images: ${inWords(parts)}` : 'No images in the last minute' }),
        el('span', { text: `${of('concertina_waiting')} waiting, ${of('concertina_running')} running` }),
      ),
    );
  });
}

const inWords = (parts) =>
  parts.map(({ level, share }) => `${share < 0.005 ? 'under 1 %' : percent(share)} at level ${level}`).join(', ');

/** Whoever sends no budget loses nothing under pressure: these requests say that they take what there is. */
const ANY_FIDELITY = { fidelity: 0.001, aim: 'best' };

/** The button that makes load: six connections, as many as a browser opens, with eight images a request. */
function press(context) {
  const button = byId('press');
  const note = byId('press-note');
  button.addEventListener('click', async () => {
    button.disabled = true;
    const { samples, model } = context();
    const images = await Promise.all(samples.slice(0, 8).map(({ file }) => sample(file)));
    const until = performance.now() + 10_000;
    let answered = 0;
    let refused;
    note.textContent = 'Sending …';
    const one = async () => {
      while (performance.now() < until) {
        try {
          await embedForm(images, { model, budget: ANY_FIDELITY });
          answered += images.length;
        } catch (error) {
          refused = error;
          await new Promise((done) => setTimeout(done, 500));
        }
      }
    };
    await Promise.all(Array.from({ length: 6 }, one));
    note.textContent = `${answered} images were embedded.${refused ? ` Some were refused: ${sentence(refused)}` : ''}`;
    button.disabled = false;
  });
}
