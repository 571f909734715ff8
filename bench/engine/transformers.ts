import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { type Opened, STATIC_FULL, type Task } from './contestants.ts';
import { exportTransformers } from './transformers-export.ts';

const PEERS = join(import.meta.dirname, '../peers');

/** Whether the libraries of `bench/peers` are installed: `npm ci --ignore-scripts --prefix bench/peers`. */
export const hasTransformers = existsSync(join(PEERS, 'node_modules/@huggingface/transformers'));

const AnswerSchema = z.union([
  z.object({ ms: z.number(), embedding: z.instanceof(Float32Array).optional() }),
  z.object({ error: z.string() }),
]);
type Answer = { readonly ms: number; readonly embedding?: Float32Array | undefined };

/** The library in a process of its own, with the network exported to a temporary folder. */
export class TransformersPeer {
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
  }

  static async open({ config, tensors, pixels, batch, threads }: Task): Promise<TransformersPeer> {
    const work = await mkdtemp(join(tmpdir(), 'concertina-transformers-'));
    const folder = join(work, 'exported-vit');
    await exportTransformers(folder, config, tensors);
    const child = fork(join(PEERS, 'transformers.ts'), { serialization: 'advanced' });
    const peer = new TransformersPeer(child, work);
    const dims = [batch, 3, config.imageSize, config.imageSize];
    await peer.#ask({ folder, threads, dims, pixels });
    return peer;
  }

  /** `[batch, width]`: the [CLS] tokens after the final norm, and how long it took inside the process. */
  async run(): Promise<{ ms: number; embedding: Float32Array }> {
    const { ms, embedding } = await this.#ask('run');
    return { ms, embedding: embedding ?? new Float32Array() };
  }

  async close(): Promise<void> {
    this.#child.disconnect();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #ask(message: string | object): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const ended = (code: number | null) => reject(new Error(`transformers ended with exit code ${code}`));
      this.#child.once('exit', ended);
      this.#child.once('message', (raw) => {
        this.#child.off('exit', ended);
        const answer = AnswerSchema.parse(raw);
        if ('error' in answer) reject(new Error(answer.error));
        else resolve(answer);
      });
      this.#child.send(message);
    });
  }
}

/** The library as a contestant; nothing where it is not installed. */
export async function openTransformers(task: Task): Promise<Opened> {
  if (!hasTransformers) return { contestants: [], close: async () => {} };
  const peer = await TransformersPeer.open(task);
  return {
    contestants: [
      {
        contestant: 'transformers.js',
        level: 'full',
        precision: 'fp32',
        peers: [STATIC_FULL],
        run: async () => (await peer.run()).ms,
      },
    ],
    close: () => peer.close(),
  };
}
