import { backwardGraph } from '../../../src/network/graphs/backward.ts';
import { forwardGraph, tokensGraph } from '../../../src/network/graphs/forward.ts';
import { halfBlockGraph } from '../../../src/network/graphs/half-block.ts';
import { mergeGraph } from '../../../src/network/graphs/merge.ts';
import type { OnnxGraph } from '../../../src/network/proto.ts';
import { structureOf } from '../../../src/network/structure.ts';
import { fullVariant, totalTokens, type Variant, type VitConfig } from '../../../src/vit/index.ts';
import { tinyTensors, uniform } from '../../support/tiny-vit.ts';
import { FAMILIES } from '../families.ts';
import { ints, type Literal, size } from './literal/array.ts';

export const IMAGES = 2;
const MERGED = [3, 2, 1];

/** Every kind of graph that is written for a network. */
export function graphsOf(
  config: VitConfig,
): Readonly<Record<string, { graph: OnnxGraph; variant: Variant }>> {
  const full = fullVariant(config);
  const merging = { ...full, merge: full.merge.map((_, block) => MERGED[block] ?? 0) };
  const [plain, merged] = [structureOf(config, full), structureOf(config, merging)];
  const all = { weights: true, gates: true, centred: true };
  return {
    'the forward pass': { graph: forwardGraph(config, plain), variant: full },
    'the forward pass with merging': { graph: forwardGraph(config, merged), variant: merging },
    'gradients of weights and gates': { graph: backwardGraph(config, all, plain), variant: full },
    'gradients of last layers with merging': {
      graph: backwardGraph(config, { lastLayers: 'weights' }, merged),
      variant: merging,
    },
    'the tokens': { graph: tokensGraph(config), variant: full },
    'half a block of attention': {
      graph: halfBlockGraph(config, 1, { part: 'attention', layer: 'last', sized: !config.rope }),
      variant: full,
    },
    'half a block of the MLP': {
      graph: halfBlockGraph(config, 1, { part: 'mlp', layer: 'last', sized: false }),
      variant: full,
    },
    'the norm before attention': {
      graph: halfBlockGraph(config, 1, { part: 'attention', layer: 'first', sized: false }),
      variant: full,
    },
    'the merge of a block': { graph: mergeGraph(config, 1, !config.rope), variant: full },
  };
}

/** Random numbers for every input of a graph of the full network. */
export function feedsOf(graph: OnnxGraph, config: VitConfig, variant: Variant): Map<string, Literal> {
  const tensors = tinyTensors(config, 5);
  const next = uniform(23);
  const sizes: Readonly<Record<string, number>> = { images: IMAGES, tokens: totalTokens(config) };
  const named = (name: string, rows: string, columns: number): number => {
    return sizes[rows] ?? (tensors.get(name)?.data.length ?? 0) / columns;
  };
  return new Map(
    graph.inputs.map(({ name, dims }) => {
      if (name === 'merge') return [name, ints(variant.merge)];
      if (name === 'removed') return [name, ints([2])];
      const fixed = size(dims.filter((dim) => typeof dim === 'number'));
      const own = dims.map((dim) => (typeof dim === 'number' ? dim : named(name, dim, fixed)));
      const drawn = () => (name === 'sizes' ? Math.ceil(1 + 1.5 * (1 + next())) : Math.fround(next()));
      const data = tensors.get(name)?.data ?? Array.from({ length: size(own) }, drawn);
      return [name, { type: 'float', dims: own, data: Array.from(data) }];
    }),
  );
}

export const FAMILY_GRAPHS = Object.entries(FAMILIES).flatMap(([family, config]) =>
  Object.entries(graphsOf(config)).map(([kind, { graph, variant }]) => ({
    family,
    kind,
    config,
    graph,
    variant,
  })),
);
