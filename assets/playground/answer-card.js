/** What the gateway ran, why, and what it cost. */
import { byId, el } from './dom.js';
import { serverTime, showTiming } from './timing.js';
import { because, fidelity, ms, percent, worth } from './words.js';

/**
 * @param {object} answer
 * @param {object} model
 * @param {{ kind: string, value: number }} asked
 */
export function showAnswer(answer, model, asked) {
  const level = model.ladder[answer.level];
  if (!level) return;
  const full = model.ladder.length - 1;
  byId('answer-level').replaceChildren(
    `Level ${answer.level}`,
    el('span', { class: 'muted', text: answer.level === full ? ', the full network' : ` of ${full}` }),
    ...(answer.precision === 'fp32' ? [] : [el('span', { class: 'tag', text: answer.precision })]),
  );
  byId('answer-why').textContent = because(answer, model.ladder, asked);
  const spent = serverTime(answer);
  const within = spent > asked.value ? 'over' : 'within';
  figures([
    ['FLOPs', percent(answer.flops), `${level.gflops.toPrecision(3)} GFLOPs`],
    ['Fidelity', fidelity(worth(level, answer.precision).fidelity), 'published mean', 'own-fidelity'],
    ['Server time', ms(spent), asked.kind === 'latency' ? `${within} ${ms(asked.value)}` : 'decode, queue, engine'],
  ]);
  byId('network-note').textContent = kept(level, model);
  showTiming(byId('timing'), answer);
  byId('time-note').textContent = `${ms(answer.roundTrip)} from this page and back`;
}

/** Cosine of this very image's embedding to the full network's. */
export function showOwnFidelity(cosine) {
  const own = byId('own-fidelity');
  if (own) own.textContent = `${fidelity(Math.min(1, cosine))} for this image`;
}

const sum = (list) => list.reduce((a, b) => a + b, 0);

/** How much of the network a level keeps, in words. */
function kept(level, { blocks, ladder }) {
  const full = ladder.at(-1);
  const of = (kind) => percent(sum(level[kind]) / sum(full[kind]));
  const attention = full.queries
    ? `${of('queries')} of the query-key dimensions, ${of('values')} of the value dimensions`
    : `${of('heads')} of the heads`;
  const merged = sum(level.merge);
  const tokens = merged > 0 ? `, ${merged} of ${blocks.tokens} tokens merged` : '';
  return `${attention}, ${of('channels')} of the channels${tokens}`;
}

function figures(list) {
  byId('figures').replaceChildren(
    ...list.map(([name, value, note, id]) =>
      el('div', {},
        el('dt', { text: name }),
        el('dd', {}, el('strong', { text: value }), el('span', { class: 'small muted', text: note, id })),
      ),
    ),
  );
}
