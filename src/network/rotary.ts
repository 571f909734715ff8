import { totalTokens, type VitConfig } from '../vit/index.ts';
import type { GraphBuilder, Value } from './graph.ts';
import { rotaryAngles } from './rotary-angles.ts';

/** Cosines and sines that queries and keys are rotated by: `[tokens, dh]`, or `[images, 1, tokens, dh]` after merging. */
export interface RotaryTables {
  readonly cosines: Value;
  readonly sines: Value;
}

/** The tables of {@link rotaryAngles}. */
export function rotaryTables(
  g: GraphBuilder,
  config: VitConfig,
  rope: NonNullable<VitConfig['rope']>,
): RotaryTables {
  const shape = [totalTokens(config), config.headDim];
  const table = (of: (angle: number) => number) => Float32Array.from(rotaryAngles(config, rope), of);
  return {
    cosines: g.table('rotary cosines', shape, () => table(Math.cos)),
    sines: g.table('rotary sines', shape, () => table(Math.sin)),
  };
}

/** Rotates `[images, heads, tokens, dh]`: `x cos + R x sin` with `R (a, b) = (-b, a)` on the two halves. */
export function rotate(g: GraphBuilder, x: Value, tables: RotaryTables): Value {
  return g.op('Add', [g.op('Mul', [x, tables.cosines]), g.op('Mul', [turnHalves(g, x), tables.sines])]);
}

/** The transpose of {@link rotate}: `R` is antisymmetric. */
export function rotateBack(g: GraphBuilder, gradient: Value, tables: RotaryTables): Value {
  return g.op('Sub', [
    g.op('Mul', [gradient, tables.cosines]),
    turnHalves(g, g.op('Mul', [gradient, tables.sines])),
  ]);
}

function turnHalves(g: GraphBuilder, x: Value): Value {
  const [first = '', second = ''] = g.ops('Split', [x], 2, { axis: -1, num_outputs: 2 });
  return g.op('Concat', [g.op('Neg', [second]), first], { axis: -1 });
}
