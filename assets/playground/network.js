/** The picture of the network: one row per block, folded to what the level keeps. */
import { el, style } from './dom.js';

/**
 * Draws the full network once, and folds it by `fold(level)`.
 * @param {HTMLTableElement} table
 * @param {{ blocks: { depth: number, heads: number, channels: number, tokens: number }, ladder: object[] }} model
 */
export function networkPicture(table, { blocks, ladder }) {
  const columns = columnsOf(blocks, ladder);
  const rows = Array.from({ length: blocks.depth }, (_, block) => row(block, columns));
  const attention = ladder.at(-1)?.queries ? 'Query-key dimensions, value dimensions' : 'Heads';
  table.replaceChildren(
    el('caption', { class: 'hidden', text: `${attention} and channels that ran in every block, and tokens left` }),
    el('thead', {}, el('tr', {},
      el('th', { scope: 'col', text: 'Block' }),
      ...columns.map(({ kind, title }) => el('th', { scope: 'col', class: kind, text: title })),
    )),
    el('tbody', {}, ...rows.map(({ element }) => element)),
  );
  return {
    fold(level) {
      for (const { show } of rows) show(level);
    },
  };
}

/** What is shown of a block: a title, what draws it, and what a level has left of it. */
function columnsOf(blocks, ladder) {
  const merges = ladder.some((level) => level.merge.some((merged) => merged > 0));
  const tokensLeft = ({ merge }, block) =>
    merge.slice(0, block + 1).reduce((left, merged) => left - merged, blocks.tokens);
  return [
    ...attentionColumns(blocks, ladder.at(-1)),
    bars('channels', `Channels of ${blocks.channels}`, blocks.channels, ({ channels }, block) => channels[block]),
    ...(merges ? [bars('tokens', `Tokens of ${blocks.tokens}`, blocks.tokens, tokensLeft)] : []),
  ];
}

/** Heads, or the dimensions of all heads together where those are what a level keeps. */
function attentionColumns({ heads: most }, full) {
  const kind = 'attention';
  if (!full?.queries)
    return [{ kind, title: `Heads of ${most}`, draw: () => dots(most), left: ({ heads }, block) => heads[block] }];
  const [dimensions] = full.queries;
  return [
    bars(kind, `Queries of ${dimensions}`, dimensions, ({ queries }, block) => queries[block]),
    bars(kind, `Values of ${dimensions}`, dimensions, ({ values }, block) => values[block]),
  ];
}

const bars = (kind, title, most, left) => ({ kind, title, draw: () => bellows(kind, most), left });

function row(block, columns) {
  const cells = columns.map(({ kind, draw, left }) => ({ kind, left, ...draw() }));
  return {
    element: el('tr', {},
      el('th', { scope: 'row', text: String(block + 1) }),
      ...cells.map(({ kind, element }) => el('td', { class: kind }, element)),
    ),
    show(level) {
      for (const { fold, left } of cells) fold(left(level, block) ?? 0);
    },
  };
}

/** A dot for each head, and their number. */
function dots(most) {
  const drawn = Array.from({ length: most }, () => el('i'));
  const count = el('span', { class: 'count' });
  return {
    element: el('span', { class: 'cell' }, el('span', { class: 'dots', 'aria-hidden': 'true' }, ...drawn), count),
    fold(kept) {
      drawn.forEach((dot, i) => dot.classList.toggle('on', i < kept));
      count.textContent = String(kept);
    },
  };
}

/** A bar that folds towards its middle, and its number. */
function bellows(kind, most) {
  const bar = el('span', { class: `kept ${kind}` });
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
