import type { Outputs, PlainTensor } from '../../../src/engine/commands.ts';
import { openDevice } from '../../../src/engine/providers.ts';
import type { OnnxGraph } from '../../../src/network/proto.ts';
import type { Literal } from './literal/array.ts';

/** A runtime that is compared with the literal one. */
export interface Compared {
  run(graph: OnnxGraph, feeds: ReadonlyMap<string, Literal>): Promise<Outputs>;
  close(): Promise<void>;
}

export async function opened(device: 'cpu' | 'wasm' | 'tfjs-wasm'): Promise<Compared> {
  const { pool, provider } = await openDevice({ device, workers: 1 });
  return {
    run: (graph, feeds) =>
      pool.use(async (worker) => {
        const options = { provider, threads: 1 };
        await worker.send({ kind: 'open', session: 'graph', model: graph, options });
        try {
          const tensors = [...feeds].map(([name, value]) => [name, plain(value)] as const);
          return await worker.run('graph', null, Object.fromEntries(tensors));
        } finally {
          await worker.send({ kind: 'close', session: 'graph' });
        }
      }),
    close: () => pool.close(),
  };
}

/** The same graph with every value that a node makes as an output, of the types and dimensions that were found. */
export function withEveryOutput(graph: OnnxGraph, found: ReadonlyMap<string, Literal>): OnnxGraph {
  const names = graph.nodes.flatMap(({ outputs }) => outputs);
  const outputs = names.map((name) => {
    const value = found.get(name);
    if (!value) throw new Error(`"${name}" was not computed.`);
    return { name, type: value.type, dims: value.dims };
  });
  const { nodes, initializers, inputs } = graph;
  return { nodes, initializers, inputs, outputs };
}

function plain({ type, dims, data }: Literal): PlainTensor {
  switch (type) {
    case 'float':
      return { type: 'float32', dims, data: Float32Array.from(data) };
    case 'int64':
      return { type: 'int64', dims, data: BigInt64Array.from([...data], BigInt) };
    case 'uint8':
      return { type: 'uint8', dims, data: Uint8Array.from(data) };
    case 'int8':
      return { type: 'int8', dims, data: Int8Array.from(data) };
    default:
      throw new RangeError(`Nothing is given as ${type}.`);
  }
}
