import type { PlainTensor } from '../../src/engine/commands.ts';
import { createModel, type Packing } from '../../src/engine/index.ts';
import { EngineThread } from '../../src/engine/runtime/native/worker-client.ts';
import type { OnnxGraph } from '../../src/network/proto.ts';
import type { TensorMap, VitConfig } from '../../src/vit/index.ts';
import { type BenchLevel, increments } from '../common/ladder.ts';
import { type Contestant, id, timed } from '../common/race.ts';
import { maskedModel, masks, staticModel } from './static-model.ts';

/** What every contestant of a cell computes on. */
export interface Task {
  readonly config: VitConfig;
  readonly tensors: TensorMap;
  readonly ladder: readonly BenchLevel[];
  /** `[batch, 3, size, size]`, normalised. */
  readonly pixels: Float32Array;
  readonly batch: number;
  readonly threads: number;
}

/** Contestants with what they hold open. */
export interface Opened {
  readonly contestants: readonly Contestant[];
  close(): Promise<void>;
}

const TIMEOUT_MS = 120_000;
/** The static fp32 session of the full network: what everything is compared with. */
export const STATIC_FULL = id({ contestant: 'static', level: 'full', precision: 'fp32' });

/** One static session of exactly each level's network, weights inside. */
export async function openStatic(task: Task): Promise<Opened> {
  const worker = new EngineThread(TIMEOUT_MS);
  const contestants: Contestant[] = [];
  for (const { name, variant } of [...task.ladder].reverse()) {
    await open(worker, name, staticModel(task.config, task.tensors, variant, task.batch), task.threads);
    contestants.push({
      contestant: 'static',
      level: name,
      precision: 'fp32',
      peers: [STATIC_FULL],
      run: () => timed(() => worker.run(name, null, { pixels: pixelTensor(task) })),
    });
  }
  return { contestants, close: () => worker.terminate() };
}

/** The full network with 0/1 gates: one contestant for every level by units. */
export async function openMasked(task: Task): Promise<Opened> {
  const worker = new EngineThread(TIMEOUT_MS);
  await open(worker, 'masked', maskedModel(task.config, task.tensors, task.batch), task.threads);
  const byUnits = task.ladder.filter(({ name }) => name.endsWith('by units'));
  const contestants = byUnits.map(({ name, variant }): Contestant => {
    const gates = [...masks(task.config, variant)].map(([input, data]): [string, PlainTensor] => [
      input,
      { type: 'float32', dims: [data.length], data },
    ]);
    const inputs = { pixels: pixelTensor(task), ...Object.fromEntries(gates) };
    return {
      contestant: '0/1 masks',
      level: name,
      precision: 'fp32',
      peers: [STATIC_FULL],
      run: () => timed(() => worker.run('masked', null, inputs)),
    };
  });
  return { contestants, close: () => worker.terminate() };
}

/** The engine as it is by default: every level in every precision that this machine runs. */
export const openElastic = (task: Task): Promise<Opened> => openEngine(task, 'elastic', 'full');

/** The engine with the weights of all levels packed. */
export const openPacked = (task: Task): Promise<Opened> => openEngine(task, 'elastic, all packed', 'all');

async function openEngine(task: Task, contestant: string, packing: Packing): Promise<Opened> {
  const { config, tensors, ladder, pixels, batch, threads } = task;
  const variants = ladder.map(({ variant }) => variant);
  const model = await createModel({
    config,
    variants,
    device: 'cpu',
    workers: 1,
    threads,
    precisions: ['fp32', 'int8'],
    packing,
  });
  for (const increment of increments(config, tensors, variants)) await model.install(increment);
  const contestants = ladder.flatMap(({ name }, level) =>
    model.precisions.map((precision): Contestant => {
      const exact = id({ contestant: 'static', level: name, precision: 'fp32' });
      return {
        contestant,
        level: name,
        precision,
        peers: exact === STATIC_FULL ? [STATIC_FULL] : [STATIC_FULL, exact],
        run: () => timed(() => model.embed(pixels, batch, { level, precision })),
      };
    }),
  );
  return { contestants, close: () => model.dispose() };
}

function pixelTensor({ config, pixels, batch }: Task): PlainTensor {
  return { type: 'float32', dims: [batch, 3, config.imageSize, config.imageSize], data: pixels };
}

async function open(worker: EngineThread, session: string, model: OnnxGraph, threads: number) {
  await worker.send({ kind: 'open', session, model, options: { provider: 'cpu', threads } });
}
