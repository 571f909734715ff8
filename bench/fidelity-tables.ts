import type { Contestant } from './fidelity-contestants.ts';
import type { Measured } from './fidelity-measure.ts';

interface Row {
  readonly contestant: Contestant;
  readonly measured: readonly Measured[];
}

const isAblation = ({ contestant }: Row) => !contestant.retrieval;
const isJoint = ({ contestant }: Row) => contestant.shares.includes(0.4);

/** Units only: every method at the same FLOP shares, and what each part of `best` adds. */
export function unitTable(rows: readonly Row[]): string[] {
  return tables(
    rows.filter((row) => !isJoint(row)),
    'Heads and channels only',
  );
}

/** Tokens and units together. */
export function jointTable(rows: readonly Row[]): string[] {
  return tables(
    rows.filter((row) => isJoint(row)),
    'Tokens, heads and channels',
  );
}

function tables(rows: readonly Row[], title: string): string[] {
  const main = rows.filter((row) => !isAblation(row));
  const ablated = rows.filter((row) => isAblation(row));
  return [
    ...(main.length > 0
      ? [
          `### ${title}`,
          grid('Mean cosine, labelled photographs', main, ({ queries }) => queries),
          grid('Mean cosine, held-back calibration photographs', main, ({ held }) => held),
          grid('k-NN top-1 (k = 20)', main, ({ knn }) => knn),
          grid("Cross-budget recall@10 (of the full network's first)", main, ({ recall10 }) => recall10),
        ]
      : []),
    ...(ablated.length > 0
      ? [
          `### ${title}: ablation`,
          grid(
            'Mean cosine: labelled / held-back photographs',
            [...main.filter(({ contestant }) => contestant.name.startsWith('best')), ...ablated],
            ({ queries, held }) => `${queries.toFixed(3)} / ${held.toFixed(3)}`,
            ablated[0]?.contestant.shares,
          ),
        ]
      : []),
  ];
}

function grid(
  title: string,
  rows: readonly Row[],
  value: (measured: Measured) => number | string | undefined,
  shares = rows[0]?.contestant.shares ?? [],
): string {
  const head = `| ${title} | ${shares.map((share) => `${Math.round(share * 100)} %`).join(' | ')} |`;
  const lines = rows.map(({ contestant, measured }) => {
    const cells = shares.map((share) => {
      const found = measured.find((level) => level.share === share);
      const shown = found && value(found);
      return typeof shown === 'number' ? shown.toFixed(3) : (shown ?? '–');
    });
    return `| ${contestant.name} | ${cells.join(' | ')} |`;
  });
  return [head, `|---|${shares.map(() => '---').join('|')}|`, ...lines].join('\n');
}
