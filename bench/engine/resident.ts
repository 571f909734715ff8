/**
 * The memory that one way of serving a network keeps, in a process of its own:
 * `node --expose-gc bench/engine/resident.ts STORE KIND` prints the bytes that the process grew by, when it has answered at every level
 * and collected its garbage. KIND is `static`, `fp32`, `int8` or `fp32,int8`.
 */
import { openCheckpoint, type Precision } from '../../src/checkpoint/index.ts';
import { createModel } from '../../src/engine/index.ts';
import { engineThreads } from '../../src/engine/runtime/native/threads.ts';
import { openStore } from '../../src/storage/node.ts';
import { fullVariant } from '../../src/vit/index.ts';
import { randomPixels } from '../common/networks.ts';
import { staticModel } from './static-model.ts';

const [store = '', kind = ''] = process.argv.slice(2);
const collect = (globalThis as { gc?: () => void }).gc; // there with --expose-gc
if (!collect) throw new Error('Start this with --expose-gc.');

const checkpoint = await openCheckpoint(await openStore(store), 'bench');
const { config, ladder } = checkpoint.manifest;
const pool = engineThreads(1);
await pool.use((worker) => worker.send({ kind: 'forget', arrays: [] }));
const before = await resident();
if (kind === 'static') await serveStatic();
else await serveElastic(kind.split(',') as Precision[]); // the parent's words
process.stdout.write(`${(await resident()) - before}\n`);
process.exit();

async function serveStatic(): Promise<void> {
  const model = staticModel(config, await checkpoint.tensors(), fullVariant(config), 1);
  await pool.use(async (worker) => {
    await worker.send({ kind: 'open', session: 'static', model, options: { provider: 'cpu', threads: 1 } });
    const dims = [1, 3, config.imageSize, config.imageSize];
    await worker.run('static', null, { pixels: { type: 'float32', dims, data: randomPixels(config, 1) } });
  });
}

async function serveElastic(precisions: readonly Precision[]): Promise<void> {
  const model = await createModel({
    config,
    variants: ladder,
    device: 'cpu',
    workers: 1,
    precisions,
    packing: 'full',
  });
  for await (const weights of checkpoint.levels()) await model.install(weights);
  for (const precision of precisions) {
    for (const level of ladder.keys()) await model.embed(randomPixels(config, 1), 1, { level, precision });
  }
}

/** Resident bytes when garbage is gone: freed buffers go back to the system some time after they were collected. */
async function resident(): Promise<number> {
  for (let round = 0; round < 5; round++) {
    collect?.();
    await new Promise((done) => setTimeout(done, 200));
  }
  return process.memoryUsage.rss();
}
