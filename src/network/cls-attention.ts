import { ATTENTION_RANGE, patchTokens, prefixTokens } from '../vit/index.ts';
import type { Asked } from './attention.ts';
import type { GraphBuilder, Value } from './graph.ts';
import { logarithms } from './key-sizes.ts';
import { ELEMENT } from './proto.ts';
import type { Scope, Stream } from './stream.ts';

const LAST = Number.MAX_SAFE_INTEGER;

/**
 * What [CLS] attends to a patch of every token, an even share being 1, within `ATTENTION_RANGE`: the softmax over patches of
 * its logits' mean over heads (`Merging` in `vit/config.ts`).
 * @returns `[images * tokens, 1]`; what stands at prefix tokens means nothing
 */
export function clsAttention(scope: Scope, { sizes, tokens }: Stream, { query, key }: Asked): Value {
  const { g, config, images } = scope;
  const first = prefixTokens(config);
  const asking = g.op('Slice', [query, g.ints(0), g.ints(1), g.ints(2)]);
  const perHead = g.op('MatMul', [asking, g.op('Transpose', [key], { perm: [0, 1, 3, 2] })]);
  const heads = g.op('Cast', [g.op('Shape', [key], { start: 1, end: 2 })], { to: ELEMENT.float });
  const scale = g.op('Div', [g.float(1 / Math.sqrt(config.headDim)), heads]);
  const logits = g.op('Mul', [sumOverHeads(g, perHead), scale]); // [images, 1, tokens]
  const patches = (of: Value) => g.op('Slice', [of, g.ints(first), g.ints(LAST), g.ints(2)]);
  const perImage = g.op('Concat', [images, g.ints(1), tokens], { axis: 0 });
  const bySize = (of: Value) => patches(g.op('Reshape', [of, perImage]));
  const counted = sizes ? g.op('Add', [patches(logits), bySize(logarithms(scope, sizes))]) : patches(logits);
  const even = g.op('Mul', [g.op('Softmax', [counted], { axis: -1 }), g.float(patchTokens(config))]);
  const each = sizes ? g.op('Div', [even, bySize(sizes)]) : even;
  const [least, most] = ATTENTION_RANGE;
  const bounded = g.op('Min', [g.op('Max', [each, g.float(least)]), g.float(most)]);
  const prefix = g.op('Slice', [logits, g.ints(0), g.ints(first), g.ints(2)]);
  return g.op('Reshape', [g.op('Concat', [prefix, bounded], { axis: 2 }), g.ints(-1, 1)]);
}

/**
 * `[images, heads, rows, columns]` to `[images, 1, rows * columns]`; a product, because `ReduceSum` adds in another order for one
 * image.
 */
export function sumOverHeads(g: GraphBuilder, perHead: Value): Value {
  const heads = g.op('Shape', [perHead], { start: 1, end: 2 });
  const one = g.table('one', [1, 1], () => Float32Array.of(1));
  const ones = g.op('Expand', [one, g.op('Concat', [g.ints(1), heads], { axis: 0 })]);
  return g.op('MatMul', [ones, g.op('Reshape', [perHead, g.ints(0, 0, -1)])]);
}
