import { availableParallelism } from 'node:os';
import type { Precision } from '../checkpoint/index.ts';
import { GraphBuilder } from '../network/index.ts';
import { isProblem, Problem } from '../problem/index.ts';
import { floats, type SessionOptions } from './commands.ts';
import { DEVICES, type Device } from './devices.ts';
import { IsolateWorker } from './runtime/isolate-worker.ts';
import { cudaInstalled, engineThreads } from './runtime/native/threads.ts';
import { installed, wasmOfPackage } from './runtime/packages.ts';
import { loadTfjs, type TfjsRecipe } from './runtime/tfjs/library.ts';
import { TfjsRuntime } from './runtime/tfjs/tfjs-runtime.ts';
import { webRuntime } from './runtime/wasm/runtime.ts';
import { type EngineWorker, WorkerPool } from './worker-pool.ts';

type Named = Exclude<Device, 'auto'>;

/** One row of the table of devices. */
export interface Provider {
  /** Whether its packages are there; says nothing about the device itself. */
  readonly installed: () => boolean;
  /** The command that installs them. */
  readonly install?: string;
  /** What it needs beside them, in a sentence. */
  readonly needs?: string;
  /** Engine workers where nobody says how many; it cannot have more where that is `most`. */
  readonly workers: { readonly usual: () => number; readonly most?: number };
  readonly start: (options: { readonly workers: number; readonly timeoutMs: number }) => Promise<WorkerPool>;
  /** What the runtime calls the device. */
  readonly provider: string;
  readonly precisions: readonly Precision[];
  /** Which levels have their weights inside their sessions: by the memory that is free, or always these. */
  readonly packing: 'by-memory' | 'all' | 'none';
}

export interface PoolOptions {
  readonly workers?: number | undefined;
  /** After so many milliseconds without an answer a worker counts as hung and is replaced; threads only. @default 300_000 */
  readonly timeoutMs?: number | undefined;
}

const one = { usual: () => 1 };
const alone = { usual: () => 1, most: 1 };

/** ONNX Runtime, in threads of its own. */
function native(provider: string, row: Partial<Provider> = {}): Provider {
  return {
    installed: () => true,
    workers: one,
    start: async ({ workers, timeoutMs }) => engineThreads(workers, timeoutMs),
    provider,
    precisions: ['fp32'],
    // What is no part of a session travels to a GPU for each run.
    packing: 'all',
    ...row,
  };
}

/** TensorFlow.js, in the caller's thread. `--save-prod`: npm installs nothing for an optional peer of the project itself otherwise. */
function tfjs(
  backend: string,
  packages: readonly string[],
  row: Partial<Provider> & Pick<TfjsRecipe, 'gpu'> = {},
): Provider {
  const { gpu = false, ...rest } = row;
  const recipe = { backend, packages, gpu };
  const wanted = packages.map((name) => (name.startsWith('@tensorflow/') ? `${name}@4` : name));
  return {
    installed: () => packages.every(installed),
    install: `npm install --save-prod ${wanted.join(' ')}`,
    workers: alone,
    start: async () => {
      const tf = await loadTfjs(recipe);
      return new WorkerPool({
        size: 1,
        create: () => new IsolateWorker('TensorFlow.js', new TfjsRuntime(tf)),
      });
    },
    provider: backend,
    precisions: ['fp32'],
    packing: 'none',
    ...rest,
  };
}

const CORE = '@tensorflow/tfjs-core';
const WEB = 'onnxruntime-web/ort-wasm-simd-threaded.wasm';
const DRIVER = 'It needs a GPU with a Vulkan, Metal or Direct3D driver.';

/** Where a network can run. */
const PROVIDERS: Readonly<Record<Named, Provider>> = {
  cpu: native('cpu', {
    workers: { usual: availableParallelism },
    precisions: ['fp32', 'int8'],
    packing: 'by-memory',
  }),
  webgpu: native('webgpu', { needs: DRIVER }),
  cuda: native('cuda', {
    installed: cudaInstalled,
    install: 'node node_modules/onnxruntime-node/script/install.js --onnxruntime-node-install=cuda12',
    needs: 'It needs an NVIDIA GPU, CUDA 12 and cuDNN 9; with CUDA 11 and cuDNN 8 take "tfjs-cuda".',
  }),
  wasm: {
    installed: () => installed(WEB),
    install: 'npm install --save-prod onnxruntime-web@1',
    workers: alone,
    start: async () => {
      const runtime = await webRuntime(await wasmOfPackage(WEB));
      return new WorkerPool({ size: 1, create: () => new IsolateWorker('ONNX Runtime', runtime) });
    },
    provider: 'wasm',
    precisions: ['fp32'],
    packing: 'none',
  },
  'tfjs-cuda': tfjs('tensorflow', ['@tensorflow/tfjs-node-gpu'], {
    gpu: true,
    needs: 'It needs an NVIDIA GPU, CUDA 11 and cuDNN 8.',
  }),
  'tfjs-node': tfjs('tensorflow', ['@tensorflow/tfjs-node']),
  'tfjs-webgpu': tfjs('webgpu', [CORE, 'webgpu', '@tensorflow/tfjs-backend-webgpu'], { needs: DRIVER }),
  'tfjs-wasm': tfjs('wasm', [CORE, '@tensorflow/tfjs-backend-wasm']),
  'tfjs-cpu': tfjs('cpu', [CORE, '@tensorflow/tfjs-backend-cpu']),
};

/** What `auto` tries, in order, as far as it is installed. */
const AUTO = ['cuda', 'tfjs-cuda', 'cpu'] as const;

/** A device that has computed something. */
export interface OpenDevice extends Provider {
  readonly device: Named;
  /** Owned by whoever opened the device. */
  readonly pool: WorkerPool;
}

export interface DeviceOptions extends PoolOptions {
  /** @default 'auto' */
  readonly device?: Device | undefined;
  /** Told, in a sentence, when `auto` cannot use what is installed and takes the next; without it that is an error. */
  readonly onFallback?: ((reason: string) => void) | undefined;
}

/**
 * Starts what computes on a device and has it add two numbers.
 * @throws Problem('engine-unavailable') with the reason and what to install
 */
export async function openDevice({
  device = 'auto',
  onFallback,
  ...options
}: DeviceOptions): Promise<OpenDevice> {
  if (device !== 'auto') return await open(device, options);
  const candidates = AUTO.filter((name) => PROVIDERS[name].installed());
  for (const [at, name] of candidates.entries()) {
    try {
      return await open(name, options);
    } catch (error) {
      const next = candidates[at + 1];
      if (!next || !onFallback || !isProblem(error, 'engine-unavailable')) throw error;
      onFallback(`${error.message} "${next}" is used instead.`);
    }
  }
  throw new Problem('engine-unavailable', 'Nothing is installed that computes.');
}

/** The device that computes in a precision: the wanted one, or the CPU, which has all of them. */
export function deviceFor(precision: Precision, wanted: Device): Device {
  const candidates = wanted === 'auto' ? AUTO.filter((name) => PROVIDERS[name].installed()) : [wanted];
  return candidates.find((name) => providerOf(name).precisions.includes(precision)) ?? 'cpu';
}

async function open(device: Named, { workers, timeoutMs = 300_000 }: PoolOptions): Promise<OpenDevice> {
  const provider = providerOf(device);
  const { needs = '', install, workers: possible } = provider;
  const refuse = (reason: string, cause?: unknown) =>
    new Problem(
      'engine-unavailable',
      `"${device}" cannot be used here: ${reason} ${needs} Or choose another device with --device.`.replace(
        '  ',
        ' ',
      ),
      { device },
      { cause },
    );
  if (!provider.installed()) throw refuse(`it is not installed. Install it: ${install}`);
  const size = workers ?? possible.usual();
  if (possible.most !== undefined && size > possible.most)
    throw refuse(`it has ${possible.most} engine worker, and ${size} were asked for.`);
  let pool: WorkerPool | undefined;
  try {
    pool = await provider.start({ workers: size, timeoutMs });
    await pool.use((worker) => probe(worker, { provider: provider.provider, threads: 1 }));
    return { ...provider, device, pool };
  } catch (cause) {
    await pool?.close();
    const reason = (cause instanceof Error ? cause.message : String(cause)).trim();
    throw refuse(/[.!]$/.test(reason) ? reason : `${reason}.`, cause);
  }
}

/** @throws Problem('engine-unavailable') */
function providerOf(device: Named): Provider {
  if (Object.hasOwn(PROVIDERS, device)) return PROVIDERS[device];
  throw new Problem('engine-unavailable', `There is no device "${device}": use ${DEVICES.join(', ')}.`);
}

/** Adds two numbers on the device. */
async function probe(worker: EngineWorker, options: SessionOptions): Promise<void> {
  const g = new GraphBuilder();
  const input = g.input('x', 'float', [1]);
  g.output('sum', g.op('Add', [input, g.float(1)]), 'float', [1]);
  await worker.send({ kind: 'open', session: 'probe', model: g, options });
  const x = { type: 'float32', dims: [1], data: Float32Array.of(1) } as const;
  const sum = floats(await worker.run('probe', null, { x }), 'sum')[0];
  if (sum !== 2) throw new Error(`1 + 1 gave ${sum}.`);
  await worker.send({ kind: 'close', session: 'probe' });
}
