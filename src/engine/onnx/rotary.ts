import { patchTokens, prefixTokens, type VitConfig } from '../../vit/index.ts';
import type { GraphBuilder, Value } from './graph.ts';

/** Cosines and sines that queries and keys are rotated by: `[tokens, dh]`, or `[images, 1, tokens, dh]` after merging. */
export interface RotaryTables {
  readonly cosines: Value;
  readonly sines: Value;
}

/**
 * Rotary position embedding of DINOv3: patch centres scaled to [-1, 1], `dh / 4` frequencies per axis, rows before
 * columns; prefix tokens are not rotated.
 */
export function rotaryTables(g: GraphBuilder, config: VitConfig, theta: number): RotaryTables {
  const shape = [prefixTokens(config) + patchTokens(config), config.headDim];
  const table = (of: (angle: number) => number) => Float32Array.from(angles(config, theta), of);
  return {
    cosines: g.table('rotary cosines', shape, () => table(Math.cos)),
    sines: g.table('rotary sines', shape, () => table(Math.sin)),
  };
}

function angles(config: VitConfig, theta: number): number[] {
  const side = Math.floor(config.imageSize / config.patchSize);
  const quarter = config.headDim / 4;
  const result: number[] = new Array(prefixTokens(config) * config.headDim).fill(0);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const half = [row, column].flatMap((at) =>
        Array.from(
          { length: quarter },
          (_, k) => 2 * Math.PI * (((at + 0.5) / side) * 2 - 1) * theta ** (-k / quarter),
        ),
      );
      result.push(...half, ...half);
    }
  }
  return result;
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
