/** One bar per phase: what Server-Timing measured, and what was predicted for the engine. */
import { el, style } from './dom.js';
import { ms } from './words.js';

const PHASES = [
  ['fetch', 'Fetch'],
  ['decode', 'Decode'],
  ['queue', 'Queue'],
  ['infer', 'Engine'],
];

/**
 * @param {HTMLElement} into
 * @param {{ timing: Record<string, number>, predicted: number }} answer
 */
export function showTiming(into, { timing, predicted }) {
  const phases = PHASES.filter(([name]) => name !== 'fetch' || (timing.fetch ?? 0) > 0);
  const longest = Math.max(predicted, ...phases.map(([name]) => timing[name] ?? 0), 0.001);
  const list = el('dl', { class: 'phases' });
  for (const [name, label] of phases) {
    const measured = timing[name] ?? 0;
    const bar = el('span', { class: 'measured' });
    style(bar, { width: `${(100 * measured) / longest}%` });
    const track = el('span', { class: 'phase-track', 'aria-hidden': 'true' }, bar);
    const value = el('span', { class: 'phase-value', text: ms(measured) });
    if (name === 'infer') {
      const mark = el('span', { class: 'predicted' });
      style(mark, { width: `${(100 * predicted) / longest}%` });
      track.append(mark);
      value.append(el('span', { class: 'muted', text: ` of ${ms(predicted)} predicted` }));
    }
    list.append(el('dt', { text: label }), el('dd', {}, track, value));
  }
  into.replaceChildren(list);
}

/** The server's own time: everything that Server-Timing names. */
export const serverTime = ({ timing }) => Object.values(timing).reduce((sum, value) => sum + value, 0);
