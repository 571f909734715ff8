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
      el('th', { scope: 'col', text: `Channels of ${blocks.channels}` }),
      ...(merges ? [el('th', { scope: 'col', text: `Tokens of ${blocks.tokens}` })] : []),
    )),
    el('tbody', {}, ...rows.map(({ element }) => element)),
  );
  return {
    fold({ heads, channels, merge }) {
      let tokens = blocks.tokens;
      rows.forEach(({ show }, block) => {
        tokens -= merge[block] ?? 0;
        show(heads[block] ?? 0, channels[block] ?? 0, tokens);
      });
    },
  };
}

function row(block, { heads, channels, tokens }, merges) {
  const dots = Array.from({ length: heads }, () => el('i'));
  const headCount = el('span', { class: 'count' });
  const mlp = bellows('kept', channels);
  const left = bellows('kept tokens', tokens);
  const drawnDots = el('span', { class: 'dots', 'aria-hidden': 'true' }, ...dots);
  return {
    element: el('tr', {},
      el('th', { scope: 'row', text: String(block + 1) }),
      el('td', {}, el('span', { class: 'cell' }, drawnDots, headCount)),
      el('td', {}, mlp.element),
      ...(merges ? [el('td', {}, left.element)] : []),
    ),
    show(keptHeads, keptChannels, keptTokens) {
      dots.forEach((dot, i) => dot.classList.toggle('on', i < keptHeads));
      headCount.textContent = String(keptHeads);
      mlp.fold(keptChannels);
      left.fold(keptTokens);
    },
  };
}

/** A bar that folds towards its middle, and its number. */
function bellows(kind, most) {
  const bar = el('span', { class: kind });
  const count = el('span', { class: 'count' });
  const track = el('span', { class: 'bellows', 'aria-hidden': 'true' }, bar);
  return {
    element: el('span', { class: 'cell' }, track, count),
    fold(kept) {
      style(bar, { transform: `scaleX(${kept / most})` });
      count.textContent = String(kept);
    },
  };
}
