import type { Level } from '../checkpoint/index.ts';

/** Text columns, the first left-aligned, the others right-aligned. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
}

/** The ladder for people. */
export function ladderTable(ladder: readonly Level[]): string[] {
  const sum = (list: readonly number[]) => list.reduce((total, value) => total + value, 0);
  const full = ladder.at(-1);
  const share = (part: number, whole: number) => `${((100 * part) / Math.max(1, whole)).toFixed(0)} %`;
  return table([
    [
      'level',
      'FLOPs',
      'GFLOPs',
      'fidelity',
      'p5',
      'int8',
      'heads',
      'channels',
      'merged',
      'params',
      'memory',
      'load',
    ],
    ...ladder.map((level, index) => [
      String(index),
      `${(100 * level.share).toFixed(1)} %`,
      (level.flops / 1e9).toFixed(3),
      level.fidelity.fp32.mean.toFixed(4),
      level.fidelity.fp32.p5.toFixed(4),
      level.fidelity.int8?.mean.toFixed(4) ?? '–',
      share(sum(level.heads), sum(full?.heads ?? [])),
      share(sum(level.channels), sum(full?.channels ?? [])),
      String(sum(level.merge)),
      `${(level.params / 1e6).toFixed(2)} M`,
      `${(level.memory / 2 ** 20).toFixed(1)} MB`,
      `${(level.end / 2 ** 20).toFixed(1)} MB`,
    ]),
  ]);
}

const BLOCKS = ' ▁▂▃▄▅▆▇█';

/** One row per block: bars of kept heads and channels, and the tokens merged away. */
export function blockChart(
  level: Level,
  full: { readonly heads: number; readonly channels: number; readonly depth: number },
): string[] {
  const bar = (kept: number, all: number, width: number) => {
    const filled = (kept / all) * width;
    const whole = Math.floor(filled);
    const rest = whole < width ? (BLOCKS[Math.round((filled - whole) * 8)] ?? ' ') : '';
    return `${'█'.repeat(whole)}${rest}`.padEnd(width, '·').replaceAll(' ', '·');
  };
  return Array.from({ length: full.depth }, (_, block) => {
    const heads = level.heads[block] ?? 0;
    const channels = level.channels[block] ?? 0;
    const merged = level.merge[block] ?? 0;
    return [
      `block ${String(block).padStart(2)}`,
      `heads ${bar(heads, full.heads, 12)} ${String(heads).padStart(3)}/${full.heads}`,
      `channels ${bar(channels, full.channels, 24)} ${String(channels).padStart(5)}/${full.channels}`,
      merged > 0 ? `merges ${merged}` : '',
    ]
      .join('  ')
      .trimEnd();
  });
}
