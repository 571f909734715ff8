import type { Level } from '../checkpoint/index.ts';
import { keptOf, type UnitKind, unitCount, unitKinds, type VitConfig } from '../vit/index.ts';

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

/** The ladder for people: of each kind of unit the share that a level keeps. */
export function ladderTable(ladder: readonly Level[]): string[] {
  const sum = (list: readonly number[]) => list.reduce((total, value) => total + value, 0);
  const full = ladder.at(-1);
  const kinds: readonly UnitKind[] = full?.queries
    ? ['queries', 'values', 'channels']
    : ['heads', 'channels'];
  const share = (part: number, whole: number) => `${((100 * part) / Math.max(1, whole)).toFixed(0)} %`;
  return table([
    ['level', 'FLOPs', 'GFLOPs', 'fidelity', 'p5', 'int8', ...kinds, 'merged', 'params', 'memory', 'load'],
    ...ladder.map((level, index) => [
      String(index),
      `${(100 * level.share).toFixed(1)} %`,
      (level.flops / 1e9).toFixed(3),
      level.fidelity.fp32.mean.toFixed(4),
      level.fidelity.fp32.p5.toFixed(4),
      level.fidelity.int8?.mean.toFixed(4) ?? '–',
      ...kinds.map((kind) => share(sum(level[kind] ?? []), sum(full?.[kind] ?? []))),
      String(sum(level.merge)),
      `${(level.params / 1e6).toFixed(2)} M`,
      `${(level.memory / 2 ** 20).toFixed(1)} MB`,
      `${(level.end / 2 ** 20).toFixed(1)} MB`,
    ]),
  ]);
}

const BLOCKS = ' ▁▂▃▄▅▆▇█';

/** Characters of a bar, and of the number of kept units. */
const WIDE = { bar: 24, kept: 5 } as const;
const NARROW = { bar: 12, kept: 3 } as const;

/** One row per block: bars of the kept units of each kind, and the tokens merged away. */
export function blockChart(level: Level, config: VitConfig): string[] {
  const bar = (kept: number, all: number, width: number) => {
    const filled = (kept / all) * width;
    const whole = Math.floor(filled);
    const rest = whole < width ? (BLOCKS[Math.round((filled - whole) * 8)] ?? ' ') : '';
    return `${'█'.repeat(whole)}${rest}`.padEnd(width, '·').replaceAll(' ', '·');
  };
  const units = (kind: UnitKind, block: number) => {
    const [kept, all] = [keptOf(config, level, kind, block), unitCount(config, kind)];
    const width = kind === 'channels' ? WIDE : NARROW;
    return `${kind} ${bar(kept, all, width.bar)} ${String(kept).padStart(width.kept)}/${all}`;
  };
  return Array.from({ length: config.depth }, (_, block) => {
    const merged = level.merge[block] ?? 0;
    return [
      `block ${String(block).padStart(2)}`,
      ...unitKinds(config).map((kind) => units(kind, block)),
      merged > 0 ? `merges ${merged}` : '',
    ]
      .join('  ')
      .trimEnd();
  });
}
