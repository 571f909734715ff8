import { GraphBuilder, type Quantisation } from '../../../network/index.ts';
import { floats } from '../../commands.ts';
import type { EngineWorker } from '../../worker-pool.ts';

/** Products that overflow 16 bits when two of them are added: the largest codes, as wide as vector registers are. */
const WIDTH = 64;
const ACTIVATION = 255;
const WEIGHT = 127;

/**
 * Which codes this host multiplies without an error: signed weights where the processor adds products in 32 bits, as it
 * does with VNNI, AMX or on ARM; unsigned ones otherwise, which ONNX Runtime widens before it multiplies.
 * @throws Problem('engine-failed')
 */
export async function weightCodes(worker: EngineWorker): Promise<Quantisation['weights']> {
  const g = new GraphBuilder();
  const activations = g.input('activations', 'uint8', [WIDTH, WIDTH]);
  const weights = g.input('weights', 'int8', [WIDTH, WIDTH]);
  const product = g.contrib('MatMulIntegerToFloat', [activations, weights, g.float(1), g.float(1)]);
  g.output('product', product, 'float', [WIDTH, WIDTH]);
  const dims = [WIDTH, WIDTH];
  const options = { provider: 'cpu', threads: 1 };
  await worker.send({ kind: 'open', session: 'int8', model: g, options });
  const outputs = await worker.run('int8', null, {
    activations: { type: 'uint8', dims, data: new Uint8Array(WIDTH ** 2).fill(ACTIVATION) },
    weights: { type: 'int8', dims, data: new Int8Array(WIDTH ** 2).fill(WEIGHT) },
  });
  await worker.send({ kind: 'close', session: 'int8' });
  const exact = floats(outputs, 'product').every((sum) => sum === WIDTH * ACTIVATION * WEIGHT);
  return exact ? 'int8' : 'uint8';
}
