import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

const MAIN = join(import.meta.dirname, '../../dist/src/cli/main.js');
const LIMIT_MS = 600_000;

/** One cold start. */
export interface ColdStart {
  /** From the start of the process to the end of the first answer, and until everything is loaded, s. */
  readonly first: number;
  readonly all: number;
  /** Level of the first answer. */
  readonly level: number;
  /** First answer, float32 and L2-normalised; and the same level when everything is loaded. */
  readonly answer: Float32Array;
  readonly later: Float32Array;
  /** Bytes that the process had read from files when the first answer came (Linux). */
  readonly fileBytes: number;
}

export interface ServeOptions {
  readonly store: string;
  readonly model: string;
  readonly image: Uint8Array<ArrayBuffer>;
  /** Further flags of `concertina serve`. */
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Told when the first answer is here. */
  readonly onFirst?: () => void;
}

/** Starts `concertina serve` in a process of its own and takes the time to its first answer. */
export async function coldStart(options: ServeOptions): Promise<ColdStart> {
  const { store, model, image, flags = [], environment = {}, onFirst = () => {} } = options;
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  const words = [
    'serve',
    '--store',
    store,
    '--model',
    model,
    '--port',
    '0',
    '--workers',
    '1',
    '--log',
    'none',
  ];
  const child = spawn(process.execPath, [MAIN, ...words, ...flags], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...environment },
  });
  try {
    const url = await address(child.stderr);
    const { level, vector: answer } = await embed(url, image);
    const first = seconds();
    onFirst();
    const fileBytes = await bytesRead(child.pid ?? 0);
    while (!(await allLoaded(url, model))) await new Promise((done) => setTimeout(done, 50));
    const all = seconds();
    const { vector: later } = await embed(url, image, `level=${level}`);
    return { first, all, level, answer, later, fileBytes };
  } finally {
    const gone = new Promise((done) => child.once('exit', done));
    if (child.exitCode === null && child.kill('SIGKILL')) await gone;
  }
}

/** Where the gateway says that it serves. */
function address(stderr: NodeJS.ReadableStream): Promise<string> {
  return new Promise((done, fail) => {
    let text = '';
    const timer = setTimeout(() => fail(new Error(`serve was not ready in time: ${text}`)), LIMIT_MS);
    stderr.on('data', (data) => {
      text += String(data);
      const found = /at (http:\S+)/.exec(text)?.[1];
      if (!found) return;
      clearTimeout(timer);
      done(found);
    });
    stderr.on('end', () => fail(new Error(`serve ended: ${text}`)));
  });
}

async function embed(url: string, image: Uint8Array<ArrayBuffer>, budget = '') {
  const response = await fetch(`${url}/v1/embed`, {
    method: 'POST',
    body: image,
    headers: {
      'Content-Type': 'image/jpeg',
      Accept: 'application/octet-stream',
      ...(budget && { 'Compute-Budget': budget }),
    },
  });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  const level = Number(/level=(\d+)/.exec(response.headers.get('Compute-Applied') ?? '')?.[1]);
  return { level, vector: new Float32Array(await response.arrayBuffer()) };
}

const ModelSchema = z.object({ ladder: z.array(z.object({ loaded: z.boolean() })) });

async function allLoaded(url: string, model: string): Promise<boolean> {
  const { ladder } = ModelSchema.parse(await (await fetch(`${url}/v1/models/${model}`)).json());
  return ladder.every(({ loaded }) => loaded);
}

async function bytesRead(pid: number): Promise<number> {
  const io = await readFile(`/proc/${pid}/io`, 'utf8').catch(() => '');
  return Number(/rchar: (\d+)/.exec(io)?.[1] ?? Number.NaN);
}
