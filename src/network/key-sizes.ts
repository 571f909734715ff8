import { totalTokens } from '../vit/index.ts';
import type { Value } from './graph.ts';
import { ELEMENT } from './proto.ts';
import type { Scope } from './stream.ts';

/**
 * `log(size)` of merged tokens, from a table: sizes are whole numbers, and ONNX Runtime's `Log` rounds an element otherwise
 * when it lies at the end of a tensor, so that an image would get other bits beside other images.
 */
export function logarithms({ g, config }: Scope, sizes: Value): Value {
  const largest = totalTokens(config);
  const table = g.table(`logarithms ${largest}`, [largest + 1], () =>
    // Entry 0 is never read; its logarithm is not a number that a graph should hold.
    Float32Array.from({ length: largest + 1 }, (_, size) => Math.log(Math.max(size, 1))),
  );
  return g.op('Gather', [table, g.op('Cast', [sizes], { to: ELEMENT.int64 })], { axis: 0 });
}

/** `log(size)` of every key, `[images, 1, 1, tokens]`. */
export function keySizes(scope: Scope, sizes: Value): Value {
  const { g, images } = scope;
  return g.op('Reshape', [logarithms(scope, sizes), g.op('Concat', [images, g.ints(1, 1, -1)], { axis: 0 })]);
}
