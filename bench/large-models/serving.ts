import { z } from 'zod';
import { watched } from './watched.ts';

const LIMIT_MS = 900_000;

export interface Served {
  /** Largest resident size, bytes. */
  readonly peak: number;
  /** From the start of the process until all levels were loaded, s. */
  readonly ready: number;
  readonly levels: readonly { readonly share: number; readonly ms: number }[];
}

const ModelSchema = z.object({ ladder: z.array(z.object({ flops: z.number(), loaded: z.boolean() })) });

/** Serves the checkpoint `large` of a store with one worker and embeds a picture at every level, twice: the second is timed. */
export async function serveLevels(
  store: string,
  picture: Uint8Array<ArrayBuffer>,
  limitBytes: number,
): Promise<Served> {
  const began = performance.now();
  const words = [
    'serve',
    '--store',
    store,
    '--port',
    '0',
    '--workers',
    '1',
    '--device',
    'cpu',
    '--log',
    'none',
  ];
  const server = watched(words, limitBytes);
  try {
    const url = await until(server.ended, () => /at (http:\S+)/.exec(server.text())?.[1]);
    const ladder = await until(server.ended, async () => {
      const model = await (await fetch(`${url}/v1/models/large`)).json();
      const { ladder } = ModelSchema.parse(model);
      return ladder.every(({ loaded }) => loaded) ? ladder : undefined;
    });
    const ready = (performance.now() - began) / 1000;
    const levels: { share: number; ms: number }[] = [];
    for (const [level, { flops }] of ladder.entries()) {
      await embed(url, picture, level);
      const start = performance.now();
      await embed(url, picture, level);
      levels.push({ share: flops, ms: performance.now() - start });
    }
    return { peak: await server.peak(), ready, levels };
  } finally {
    server.child.kill('SIGTERM');
    await server.ended.catch(() => {});
  }
}

/** What `look` finds, as soon as it finds something; fails when the process ends before. */
async function until<T>(
  ended: Promise<unknown>,
  look: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const limit = performance.now() + LIMIT_MS;
  const early = ended.then(() => {
    throw new Error('the process ended early');
  });
  early.catch(() => {});
  while (performance.now() < limit) {
    const found = await Promise.race([early, Promise.resolve(look())]);
    if (found !== undefined) return found;
    await Promise.race([early, new Promise((done) => setTimeout(done, 50))]);
  }
  throw new Error('the process did not do it in time');
}

async function embed(url: string, picture: Uint8Array<ArrayBuffer>, level: number): Promise<void> {
  const response = await fetch(`${url}/v1/embed`, {
    method: 'POST',
    body: picture,
    headers: {
      'Content-Type': 'image/jpeg',
      Accept: 'application/octet-stream',
      'Compute-Budget': `level=${level};strict`,
    },
  });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  const embedding = new Float32Array(await response.arrayBuffer());
  if (embedding.length === 0 || !embedding.every(Number.isFinite))
    throw new Error(`level ${level} gave no numbers`);
}
