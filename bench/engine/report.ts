import type { Measurement } from '../common/race.ts';
import { memoryTable, type Resident } from './memory.ts';
import { targetTable } from './targets.ts';

/** What the report is made of. */
export interface Report {
  readonly command: string;
  readonly measurements: readonly Measurement[];
  readonly memory: readonly Resident[];
  /** Contestants that could not take part, and why. */
  readonly absent: readonly string[];
  /** The machine, described before the run loaded it. */
  readonly where: string;
}

/** The whole result as Markdown. `notes` explains it and is written by hand. */
export function report({ command, measurements, memory, absent, where }: Report, notes: string): string {
  return `# The engine

Made by \`${command}\`. ${where}
Contestants on the same weights and pixels take turns; a ratio is the median over the rounds of the time over the peer's time in
the same round, its spread the distance between the quartiles of these ratios over their median. \`static\`: an ONNX Runtime
session of exactly that network, weights inside, for exactly that batch; \`transformers.js\`: the same weights exported operator by
operator and run by the library in a process of its own; \`0/1 masks\`: the full network with gates; \`elastic\`: one engine for all
levels and precisions. Ratios are to the static fp32 session of the full network unless \`to\` says otherwise.
${absent.map((line) => `\n${line}`).join('\n')}

${targetTable(measurements, memory)}

${notes}
${memory.length > 0 ? `## Memory\n\n${memoryTable(memory)}\n` : ''}
${cells(measurements)
  .map((lines) => section(lines))
  .join('\n\n')}
`;
}

/** Where the report is printed while it is measured. */
export function line(m: Measurement): string {
  const name = `${m.contestant} ${m.precision}, ${m.level}`;
  const where = `${m.model}, batch ${m.batch}, threads ${m.threads}`;
  return `${where}: ${name}: ${m.median_ms.toFixed(1)} ms, ${m.ratio.toFixed(3)} of ${m.peer} (spread ${m.spread.toFixed(2)})`;
}

function cells(measurements: readonly Measurement[]): Measurement[][] {
  const groups = Map.groupBy(measurements, (m) => heading(m));
  return [...groups.values()];
}

const heading = ({ model, batch, threads }: Measurement) =>
  `${model}, ${batch === 1 ? 'one image' : `${batch} images`}, ${threads === 1 ? 'one thread' : `${threads} threads`}`;

function section(lines: readonly Measurement[]): string {
  const rows = lines.map((m) => {
    const numbers = [m.median_ms.toFixed(1), `**${m.ratio.toFixed(3)}**`, m.spread.toFixed(2)];
    return `| ${m.contestant} | ${m.level} | ${m.precision} | ${numbers.join(' | ')} | ${m.peer} |`;
  });
  const [first] = lines;
  return `## ${first ? heading(first) : ''}

| contestant | level | precision | median, ms | ratio | spread | to |
|---|---|---|---|---|---|---|
${rows.join('\n')}`;
}
