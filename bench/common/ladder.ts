import {
  coarse,
  columnScales,
  type LevelWeights,
  splitPlanes,
  type WeightTensor,
} from '../../src/checkpoint/index.ts';
import { LadderRows } from '../../src/engine/ladder-rows.ts';
import { flops, fullVariant, type TensorMap, type Variant, type VitConfig } from '../../src/vit/index.ts';

/** A level of the benchmark's ladder. */
export interface BenchLevel {
  readonly name: string;
  readonly variant: Variant;
}

/** Shares of the full network's FLOPs, by units and by tokens; the full network comes last. */
export function benchLadder(config: VitConfig, units: readonly number[], tokens: readonly number[]) {
  const percent = (share: number) => `${Math.round(100 * share)} %`;
  const levels: BenchLevel[] = [
    ...units.map((share) => ({ name: `${percent(share)} by units`, variant: byUnits(config, share) })),
    ...tokens.map((share) => ({ name: `${percent(share)} by tokens`, variant: byTokens(config, share) })),
    { name: 'full', variant: fullVariant(config) },
  ];
  return levels;
}

/** The same share of the heads of every block, rounded down, and as many channels as still fit. */
function byUnits(config: VitConfig, share: number): Variant {
  const full = fullVariant(config);
  const heads = full.heads.map((count) => Math.max(1, Math.floor(count * share)));
  for (let channels = config.channels; channels > 0; channels--) {
    const variant = { ...full, heads, channels: full.channels.map(() => channels) };
    if (flops(config, variant) <= share * flops(config, full)) return variant;
  }
  throw new RangeError('no number of channels is small enough');
}

/** Nothing merged in the first two blocks, the same number in all others. */
function byTokens(config: VitConfig, share: number): Variant {
  const full = fullVariant(config);
  for (let r = 1; ; r++) {
    const variant = { ...full, merge: full.merge.map((_, block) => (block < 2 ? 0 : r)) };
    if (flops(config, variant) <= share * flops(config, full)) return variant;
  }
}

/** What a checkpoint would give for each level, units as stored: the numbers of the high plane, with its codes. */
export function increments(
  config: VitConfig,
  tensors: TensorMap,
  variants: readonly Variant[],
): LevelWeights[] {
  const rows = new LadderRows(config, variants);
  return variants.map((_, level) => ({
    level,
    shared: new Map(level === 0 ? [...tensors].filter(([name]) => rows.tensors.shared.has(name)) : []),
    increments: new Map(
      rows.tensors.units.map((tensor): [string, WeightTensor] => {
        const { first, rows: count } = rows.rows(tensor, level);
        const whole = tensors.get(tensor.name) ?? { shape: [], data: new Float32Array() };
        const data = whole.data.slice(first * tensor.rowLength, (first + count) * tensor.rowLength);
        const own = { shape: [count, ...whole.shape.slice(1)], data };
        if (!tensor.name.endsWith('.weight')) return [tensor.name, own];
        const plane = splitPlanes(own, columnScales(tensor.name, whole));
        return [tensor.name, { ...coarse(plane), plane }];
      }),
    ),
    corrections: new Map(),
  }));
}
