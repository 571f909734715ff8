/** The picture of the network: one row per block, folded to what the level keeps. */
import { el, style } from './dom.js';

/**
 * Draws the full network once, and folds it by `fold(level)`.
 * @param {HTMLTableElement} table
 * @param {{ blocks: { depth: number, heads: number, channels: number, tokens: number }, ladder: object[] }} model
 */
export function networkPicture(table, { blocks, ladder }) {
  const merges = ladder.some((level) => level.merge.some((merged) => merged > 0));
  const rows = Array.from({ length: blocks.depth }, (_, block) => row(block, blocks, merges));
  table.replaceChildren(
    el('caption', { class: 'hidden', text: 'Heads and channels that ran in every block, and tokens left' }),
    el('thead', {}, el('tr', {},
      el('th', { scope: 'col', text: 'Block' }),
      el('th', { scope: 'col', text: `Heads of ${blocks.heads}` }),
      el('th', { scope: 'col', class: 'middle', text: `Channels of ${blocks.channels}` }),
      el('th', { scope: 'col', class: 'number', text: merges ? 'Tokens' : '' }),
    )),
    el('tbody', {}, ...rows.map(({ element }) => element)),
  );
  if (!merges) table.classList.add('no-tokens');
  else table.classList.remove('no-tokens');
  return {
    fold({ heads, channels, merge }) {
      let tokens = blocks.tokens;
      rows.forEach(({ show }, block) => {
        const merged = merge[block] ?? 0;
        tokens -= merged;
        show(heads[block] ?? 0, channels[block] ?? 0, tokens, merged);
      });
    },
  };
}

function row(block, { heads, channels }, merges) {
  const dots = Array.from({ length: heads }, () => el('i'));
  const headCount = el('span', { class: 'count' });
  const bar = el('span', { class: 'kept' });
  const channelCount = el('span', { class: 'count' });
  const tokenCount = el('span');
  const mergedCount = el('span', { class: 'merged' });
  return {
    element: el('tr', {},
      el('th', { scope: 'row', text: String(block + 1) }),
      el('td', {}, el('span', { class: 'cell' }, el('span', { class: 'dots', 'aria-hidden': 'true' }, ...dots), headCount)),
      el('td', {}, el('span', { class: 'cell' }, el('span', { class: 'bellows', 'aria-hidden': 'true' }, bar), channelCount)),
      el('td', { class: 'number' }, ...(merges ? [tokenCount, mergedCount] : [])),
    ),
    show(keptHeads, keptChannels, tokens, merged) {
      dots.forEach((dot, i) => dot.classList.toggle('on', i < keptHeads));
      headCount.textContent = String(keptHeads);
      style(bar, { transform: `scaleX(${keptChannels / channels})` });
      channelCount.textContent = String(keptChannels);
      tokenCount.textContent = String(tokens);
      mergedCount.textContent = merged > 0 ? ` −${merged}` : '';
    },
  };
}
