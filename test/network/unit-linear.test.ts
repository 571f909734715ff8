import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { columnScales, splitPlanes } from '../../src/checkpoint/index.ts';
import { floats, type PlainTensor } from '../../src/engine/commands.ts';
import { weightCodes } from '../../src/engine/runtime/native/int8-host.ts';
import { engineThreads } from '../../src/engine/runtime/native/threads.ts';
import { GraphBuilder } from '../../src/network/graph.ts';
import type { Quantisation } from '../../src/network/quantisation.ts';
import { codesInput, columnsInput, scalesInput, unitLinear } from '../../src/network/unit-linear.ts';
import type { Tensor } from '../../src/vit/index.ts';
import { tinyConfig, uniform } from '../support/tiny-vit.ts';

const ROWS = 5;
const pool = engineThreads(1);
let codesHere: Quantisation['weights'];
beforeAll(async () => {
  codesHere = await pool.use(weightCodes);
});
afterAll(() => pool.close());

const random = (seed: number, length: number): Float32Array => {
  const next = uniform(seed);
  return Float32Array.from({ length }, () => next() - 0.5);
};

interface Layer {
  readonly name: 'attn.qkv' | 'attn.proj' | 'mlp.fc1' | 'mlp.fc2';
  readonly rows: number;
  readonly layout: 'output-first' | 'input-first';
  readonly shift?: number;
}
const LAYERS: readonly Layer[] = [
  { name: 'attn.qkv', rows: 30, layout: 'output-first' },
  { name: 'mlp.fc1', rows: 7, layout: 'output-first' },
  { name: 'mlp.fc1', rows: 1, layout: 'output-first' },
  { name: 'attn.proj', rows: 5, layout: 'input-first' },
  { name: 'mlp.fc2', rows: 7, layout: 'input-first', shift: 0.25 },
  { name: 'mlp.fc2', rows: 1, layout: 'input-first', shift: 0.25 },
];

const config = tinyConfig();
const D = config.width;

async function inGraph(
  layer: Layer,
  weights: 'uint8' | 'int8',
  input: Float32Array,
  weight: Tensor,
  bias: Float32Array,
): Promise<Float32Array> {
  const inputs = layer.layout === 'output-first' ? D : layer.rows;
  const outputs = layer.layout === 'output-first' ? layer.rows : D;
  const g = new GraphBuilder();
  const x = g.input('x', 'float', ['n', inputs]);
  const quantisation = { weights, keepFp32: new Set<string>() };
  const scope = { g, config, images: g.ints(1), quantisation };
  const { name, layout, shift } = layer;
  const given = { name, rows: 'rows', bias: g.input('bias', 'float', [outputs]), layout };
  const { output } = unitLinear(scope, x, { ...given, ...(shift && { shift }) });
  g.output('y', output, 'float', ['n', outputs]);
  const tensor = `${name}.weight`;
  const planes = splitPlanes(weight, columnScales(`blocks.0.${tensor}`, weight));
  // Where rows are outputs, the product reads the codes transposed.
  const outputFirst = layout === 'output-first';
  const high = outputFirst
    ? Int8Array.from(
        planes.high,
        (_, i) => planes.high[(i % layer.rows) * D + Math.floor(i / layer.rows)] ?? 0,
      )
    : planes.high;
  const codes = weights === 'int8' ? high : Uint8Array.from(high, (code) => code + 128);
  const tensors: Record<string, PlainTensor> = {
    x: { type: 'float32', dims: [ROWS, inputs], data: input },
    bias: { type: 'float32', dims: [outputs], data: bias },
    [codesInput(tensor)]: {
      type: weights,
      dims: outputFirst ? [D, layer.rows] : [layer.rows, D],
      data: codes,
    },
    [scalesInput(tensor)]: { type: 'float32', dims: [layer.rows], data: planes.scale },
    [columnsInput(tensor)]: {
      type: 'float32',
      dims: [D],
      data: planes.columns ?? new Float32Array(D).fill(1),
    },
  };
  return await pool.use(async (worker) => {
    const options = { provider: 'cpu', threads: 1 } as const;
    await worker.send({ kind: 'open', session: 'y', model: g, options });
    return floats(await worker.run('y', null, tensors), 'y');
  });
}

/** The same by its definition, in double precision: codes of every row of `x`, the sum of the products, the scales. */
function literally(layer: Layer, input: Float32Array, weight: Tensor, bias: Float32Array): number[] {
  const { layout, rows, shift = 0 } = layer;
  const { high, scale, columns } = splitPlanes(weight, columnScales(`blocks.0.${layer.name}.weight`, weight));
  const [K, N] = layout === 'output-first' ? [D, rows] : [rows, D];
  const result: number[] = [];
  for (let r = 0; r < ROWS; r++) {
    const read = Array.from({ length: K }, (_, k) => {
      const x = (input[r * K + k] ?? 0) + shift;
      return layout === 'input-first' ? x * (scale[k] ?? 0) : x;
    });
    const step = Math.max(...read.map(Math.abs)) / (shift > 0 ? 255 : 127);
    for (let n = 0; n < N; n++) {
      let sum = 0;
      for (let k = 0; k < K; k++) {
        const code = high[layout === 'output-first' ? n * D + k : k * D + n] ?? 0;
        sum += step === 0 ? 0 : Math.round((read[k] ?? 0) / step) * code;
      }
      const factor = layout === 'output-first' ? (scale[n] ?? 0) : (columns?.[n] ?? 1);
      result.push(sum * step * factor + (bias[n] ?? 0));
    }
  }
  return result;
}

describe.each(['uint8', 'int8'] as const)('a linear layer of units with %s weights', (weights) => {
  it.for(LAYERS)('is what its definition says: $name, $rows units', async (layer, { skip }) => {
    // Signed weights are used only where the processor adds their products in 32 bits.
    skip(
      weights === 'int8' && codesHere !== 'int8',
      'this processor adds pairs of signed products in 16 bits',
    );
    const weight = { shape: [layer.rows, D], data: random(3, layer.rows * D) };
    // One column that is far larger than the others, and a unit that is empty.
    for (let row = 0; row < layer.rows; row++) weight.data[row * D] = 40 * (weight.data[row * D] ?? 0);
    if (layer.rows > 5) weight.data.fill(0, 5 * D, 6 * D);
    const inputs = layer.layout === 'output-first' ? D : layer.rows;
    const input = random(4, ROWS * inputs);
    if (layer.shift) for (const [i, value] of input.entries()) input[i] = Math.max(-layer.shift, 3 * value);
    // A row of nothing but zeros has no scale.
    if (!layer.shift) input.fill(0, 0, inputs);
    const bias = random(5, layer.layout === 'output-first' ? layer.rows : D);
    const found = await inGraph(layer, weights, input, weight, bias);
    const expected = literally(layer, input, weight, bias);
    const largest = Math.max(...expected.map(Math.abs));
    expect(found).toHaveLength(expected.length);
    for (const [i, value] of expected.entries()) {
      expect(Math.abs((found[i] ?? Number.NaN) - value)).toBeLessThan(1e-5 * largest);
    }
  });
});

describe('the codes of the weights', () => {
  it('are signed where this processor adds their products without overflow, and exact either way', async () => {
    // The largest products there are: what saturates does so here.
    const layer = { name: 'mlp.fc1', rows: 64, layout: 'output-first' } as const;
    const weight = { shape: [64, D], data: new Float32Array(64 * D).fill(1) };
    const input = new Float32Array(ROWS * D).fill(1);
    const found = await inGraph(layer, codesHere, input, weight, new Float32Array(64));
    for (const value of found) expect(value).toBeCloseTo(D, 4);
  });
});
