import {
  coarse,
  columnScales,
  type LevelWeights,
  splitPlanes,
  type WeightTensor,
} from '../../../src/checkpoint/index.ts';
import {
  fullVariant,
  type Tensor,
  type TensorMap,
  type UnitKind,
  unitKinds,
  unitTensors,
  type Variant,
  type VitConfig,
} from '../../../src/vit/index.ts';
import { uniform } from '../../support/tiny-vit.ts';

/** One level: what it runs, and the tensors that are its own. */
export interface TestLevel {
  readonly variant: Variant;
  readonly corrections: TensorMap;
}

/**
 * Levels of the tiny network (3 blocks, 3 heads, 7 channels) with what is awkward: odd counts, a block without heads and
 * channels, merging in some blocks, in the last one, and not at all; corrected weights and biases, also where no unit is
 * left. Where dimensions are units there are always some left.
 */
export function testLadder(config: VitConfig): TestLevel[] {
  const own = randomRows(config);
  if (config.attentionUnits === 'dimensions') return dimensionLadder(config, own);
  const perHead = config.headDim;
  return [
    {
      variant: { heads: [1, 0, 2], channels: [3, 0, 7], merge: [2, 4, 0] },
      corrections: own({
        'blocks.0.mlp.fc2.bias': config.width,
        'blocks.1.attn.proj.bias': config.width,
        'blocks.1.mlp.fc2.bias': config.width,
        'blocks.2.attn.proj.weight': 2 * perHead,
      }),
    },
    {
      variant: { heads: [1, 2, 3], channels: [5, 1, 7], merge: [3, 1, 2] },
      corrections: own({
        'blocks.1.mlp.fc2.weight': 1,
        'blocks.0.attn.proj.weight': perHead,
        'blocks.0.mlp.fc1.weight': 5,
      }),
    },
    { variant: { heads: [3, 3, 3], channels: [5, 7, 7], merge: [2, 0, 3] }, corrections: new Map() },
    { variant: fullVariant(config), corrections: new Map() },
  ];
}

function dimensionLadder(config: VitConfig, own: ReturnType<typeof randomRows>): TestLevel[] {
  const H = config.heads;
  const full = fullVariant(config);
  const heads = [H, H, H];
  return [
    {
      variant: { heads, queries: [1, 3, 2], values: [3, 1, 2], channels: [3, 0, 7], merge: [2, 4, 0] },
      corrections: own({
        'blocks.0.mlp.fc2.bias': config.width,
        'blocks.1.attn.proj.bias': config.width,
        'blocks.1.mlp.fc2.bias': config.width,
        'blocks.2.attn.proj.weight': 2 * H,
      }),
    },
    {
      variant: { heads, queries: [1, 4, 3], values: [3, 2, 5], channels: [5, 1, 7], merge: [3, 1, 2] },
      corrections: own({
        'blocks.1.mlp.fc2.weight': 1,
        'blocks.0.attn.proj.weight': 3 * H,
        'blocks.0.mlp.fc1.weight': 5,
        'blocks.1.attn.qk.weight': 4 * 2 * H,
        'blocks.1.attn.v.bias': 2 * H,
      }),
    },
    {
      variant: { ...full, queries: [5, 4, 3], channels: [5, 7, 7], merge: [2, 0, 3] },
      corrections: new Map(),
    },
    { variant: full, corrections: new Map() },
  ];
}

/** Makes tensors of so many random rows. */
function randomRows({ width }: VitConfig) {
  const next = uniform(77);
  return (names: Readonly<Record<string, number>>): TensorMap =>
    new Map(
      Object.entries(names).map(([name, rows]): [string, Tensor] => {
        const shape = name.endsWith('.bias') ? [rows] : [rows, width];
        const size = shape.reduce((product, side) => product * side, 1);
        return [name, { shape, data: Float32Array.from({ length: size }, () => next() / 2) }];
      }),
    );
}

/** What a checkpoint would give for each level, units as stored. In planes, the numbers are those of the high one. */
export function levelWeights(
  config: VitConfig,
  tensors: TensorMap,
  levels: readonly TestLevel[],
  { planes = false } = {},
): LevelWeights[] {
  const kinds = new Map<string, { block: number; kind: UnitKind }>();
  for (const kind of unitKinds(config)) {
    const names = unitTensors(config, kind);
    for (let block = 0; block < config.depth; block++) {
      for (const name of names) kinds.set(`blocks.${block}.${name}`, { block, kind });
    }
  }
  return levels.map(({ variant, corrections }, level) => {
    const increments = new Map<string, WeightTensor>();
    const stored = (name: string, tensor: Tensor, columns = columnScales(name, tensor)) =>
      planes && name.endsWith('.weight') ? inPlanes(tensor, columns) : tensor;
    for (const [name, { block, kind }] of kinds) {
      const first = levels[level - 1]?.variant[kind]?.[block] ?? 0;
      const last = variant[kind]?.[block] ?? 0;
      const tensor = tensors.get(name);
      if (!tensor || last === first) continue;
      increments.set(name, stored(name, rows(tensor, first, last), columnScales(name, tensor)));
    }
    const shared = new Map(level === 0 ? [...tensors].filter(([name]) => !kinds.has(name)) : []);
    const own = [...corrections].map(([name, tensor]) => [name, stored(name, tensor)] as const);
    return { level, shared, increments, corrections: new Map(own) };
  });
}

function inPlanes(tensor: Tensor, columns: Float32Array | undefined): WeightTensor {
  const planes = splitPlanes(tensor, columns);
  return { ...coarse(planes), plane: planes };
}

function rows({ shape, data }: Tensor, first: number, last: number): Tensor {
  const each = data.length / (shape[0] ?? 1);
  return { shape: [last - first, ...shape.slice(1)], data: data.slice(first * each, last * each) };
}
