import { figure, type Series } from '../common/line-plot.ts';
import type { Compared, Row } from './compared.ts';
import type { Contestant } from './contestants.ts';
import type { Measured } from './measure.ts';

const TITLES = { units: 'Heads and channels only', joint: 'Tokens, heads and channels' } as const;
/** Rows that the plots show, the best last. */
const PLOTTED = [
  'magnitude',
  'snapvit-reference, uncorrected',
  'snapvit-reference',
  'best, units only',
  'best',
];

const INTRODUCTION = `# Fidelity of pruning methods

Made by \`npm run bench -- fidelity\`. No picture that is measured on was fitted on. Cosines are those between a level's
embedding and the full network's; recall@10 is the share of queries, embedded at the level, that find among their first ten what
the full network finds first, in a gallery embedded by the full network. Rows other than \`best\` follow the paper's coupled
ratios; \`best\` takes the heads, channels and merges that cost least. Weights are measured in fp16; the row \`as served\` has
the first of two bytes of each weight, on which levels below the full network run.`;

/** The whole of the results, with what somebody has noted about them. */
export function document(compared: readonly Compared[], where: string, notes: string): string {
  const parts = compared.flatMap((model) => [
    `## ${model.name}`,
    countsOf(model),
    `![Mean cosine and k-NN against the share of FLOPs](${plotName(model)})`,
    ...tables(model.rows, 'units'),
    ...tables(model.rows, 'joint'),
  ]);
  return `${[INTRODUCTION, where, notes.trim(), ...parts].filter(Boolean).join('\n\n')}\n`;
}

function countsOf({ counts, knn }: Compared): string {
  return (
    `${counts.fit} calibration photographs to fit on (${counts.more} for tuned weights), ${counts.held} held back; of the clothing photographs ${counts.gallery} as ` +
    `the gallery and ${counts.queries} as queries. Full network: k-NN ${knn.toFixed(3)}.`
  );
}

/** Every method at the same FLOP shares, and what each part of `best` adds. */
function tables(rows: readonly Row[], kind: Contestant['kind']): string[] {
  const all = rows.filter(({ contestant }) => contestant.kind === kind);
  const main = all.filter(({ contestant }) => !contestant.ablation);
  const ablated = all.filter(({ contestant }) => contestant.ablation);
  const best = main.filter(
    ({ contestant }) => /^(best|compact)/.test(contestant.name) && contestant.retrieval,
  );
  const retrieved = main.filter(({ contestant }) => contestant.retrieval);
  const both = ({ queries, held }: Measured) => `${queries.toFixed(3)} / ${held.toFixed(3)}`;
  if (all.length === 0) return [];
  return [
    `### ${TITLES[kind]}`,
    ...grid('Mean cosine, clothing', main, ({ queries }) => queries),
    ...grid('Mean cosine, held-back calibration photographs', main, ({ held }) => held),
    ...grid('k-NN top-1 (k = 20), clothing', retrieved, ({ knn }) => knn),
    ...grid('Cross-budget recall@10, clothing', retrieved, ({ recall10 }) => recall10),
    ...(ablated.length > 0
      ? grid('Ablation: mean cosine, clothing / held-back', [...best, ...ablated], both, ablated)
      : []),
  ];
}

function grid(
  title: string,
  rows: readonly Row[],
  value: (measured: Measured) => number | string | undefined,
  columns: readonly Row[] = rows,
): string[] {
  const shares = columns[0]?.contestant.measured ?? [];
  if (rows.length === 0) return [];
  const head = `| ${title} | ${shares.map((share) => `${Math.round(share * 100)} %`).join(' | ')} |`;
  const lines = rows.map(({ contestant, measured }) => {
    const cells = shares.map((share) => {
      const found = measured.find((level) => level.share === share);
      const shown = found && value(found);
      return typeof shown === 'number' ? shown.toFixed(3) : (shown ?? '–');
    });
    return `| ${contestant.name.replace(/^(units|joint): /, '')} | ${cells.join(' | ')} |`;
  });
  return [[head, `|---|${shares.map(() => '---').join('|')}|`, ...lines].join('\n')];
}

/** The file of a model's plot, beside the document. */
export function plotName({ name }: Compared): string {
  return `fidelity-${name.split('_')[0]}.svg`;
}

/** Cosine and k-NN of the main rows against the share of FLOPs. */
export function plot({ name, knn, rows }: Compared): string {
  const shown = PLOTTED.flatMap((wanted) => rows.filter(({ contestant }) => contestant.name === wanted));
  const series = (full: number, value: (measured: Measured) => number | undefined): Series[] =>
    shown.map(({ contestant, measured }) => {
      const levels = measured.map(({ flops, ...level }) => [flops, value({ flops, ...level }) ?? 0] as const);
      const points = [[1, full] as const, ...levels];
      return { name: contestant.name.replace('uncorrected', 'raw'), points };
    });
  const x = 'share of the FLOPs';
  return figure([
    [
      { title: `${name}: mean cosine`, x, y: 'cosine, clothing', yMax: 1 },
      series(1, (level) => level.queries),
    ],
    [{ title: 'k-NN top-1', x, y: 'k-NN, clothing', yMax: 1 }, series(knn, (level) => level.knn)],
  ]);
}
