import { createRequire } from 'node:module';
import type * as Core from '@tensorflow/tfjs-core';
import { Problem } from '../../../problem/index.ts';

/** The operators of TensorFlow.js, from whichever package brought them. */
export type Tf = typeof Core;

/**
 * What TensorFlow.js computes with. `cuda`: an NVIDIA GPU; `node`: libtensorflow on the CPU; `webgpu`: any GPU through Dawn;
 * `wasm` and `cpu` need nothing but JavaScript and are for small networks and tests.
 */
export type TfjsBackend = 'cuda' | 'node' | 'webgpu' | 'wasm' | 'cpu';

interface Recipe {
  /** Packages to import, in order; the operators come from the first. */
  readonly packages: readonly string[];
  /** Its name within TensorFlow.js. */
  readonly backend: string;
  /** What is needed beside the packages. */
  readonly needs?: string;
}

const CORE = '@tensorflow/tfjs-core';
const RECIPES: Readonly<Record<TfjsBackend, Recipe>> = {
  cuda: {
    packages: ['@tensorflow/tfjs-node-gpu'],
    backend: 'tensorflow',
    needs: 'on a machine with CUDA 11 and cuDNN 8',
  },
  node: { packages: ['@tensorflow/tfjs-node'], backend: 'tensorflow' },
  webgpu: {
    packages: [CORE, 'webgpu', '@tensorflow/tfjs-backend-webgpu'],
    backend: 'webgpu',
    needs: 'on a machine with a Vulkan, Metal or Direct3D driver',
  },
  wasm: { packages: [CORE, '@tensorflow/tfjs-backend-wasm'], backend: 'wasm' },
  cpu: { packages: [CORE, '@tensorflow/tfjs-backend-cpu'], backend: 'cpu' },
};

/** Major version of all TensorFlow.js packages that this engine is written for. */
const VERSION = 4;

let loaded: { readonly name: TfjsBackend; readonly tf: Promise<Tf> } | undefined;

/**
 * Loads TensorFlow.js on a backend, once per process: its backend is global.
 * @throws Problem('engine-unavailable') with what to install
 */
export async function loadBackend(name: TfjsBackend): Promise<Tf> {
  if (loaded && loaded.name !== name) {
    throw unavailable(name, `this process already computes with "${loaded.name}"`);
  }
  loaded ??= { name, tf: start(name) };
  try {
    return await loaded.tf;
  } catch (error) {
    loaded = undefined;
    throw error;
  }
}

/** Whether the packages of a backend are there; says nothing about the device. */
export function backendInstalled(name: TfjsBackend): boolean {
  return RECIPES[name].packages.every(installed);
}

async function start(name: TfjsBackend): Promise<Tf> {
  const { packages, backend } = RECIPES[name];
  prepareNode();
  const modules: unknown[] = [];
  for (const specifier of packages) {
    if (specifier === '@tensorflow/tfjs-backend-webgpu') offerWebGpu(modules.at(-1));
    modules.push(await importPackage(name, specifier));
  }
  const tf = modules[0] as Tf; // what these packages export; the probe below uses it
  const handlers = processHandlers();
  try {
    if (!(await tf.setBackend(backend))) throw new Error(`its backend "${backend}" does not start`);
    await tf.ready();
    removeHandlersExcept(handlers);
    await probe(tf);
  } catch (cause) {
    throw unavailable(name, sentence(cause), cause);
  }
  if (name === 'cuda' && !usesGpu(tf)) {
    throw unavailable(name, 'it sees no CUDA device, or cannot load the libraries of CUDA 11 and cuDNN 8');
  }
  return tf;
}

async function importPackage(name: TfjsBackend, specifier: string): Promise<unknown> {
  const { packages, needs } = RECIPES[name];
  if (!installed(specifier)) {
    const install = packages.map((one) => (one.startsWith('@tensorflow/') ? `${one}@${VERSION}` : one));
    throw unavailable(
      name,
      `"${specifier}" is not installed. Install it beside Concertina${needs ? ` ${needs}` : ''}: npm install ${install.join(' ')}`,
    );
  }
  try {
    const imported: { readonly default?: unknown } = await import(specifier);
    return imported.default ?? imported; // CommonJS modules lie under `default`
  } catch (cause) {
    throw unavailable(name, sentence(cause), cause);
  }
}

function installed(specifier: string): boolean {
  try {
    createRequire(import.meta.url).resolve(specifier);
    return true;
  } catch {
    return false;
  }
}

/**
 * What the native packages need before they are loaded: a function of `node:util` that Node 23 took away, and full float32
 * products, which cuBLAS would otherwise round to 10 bits on recent GPUs.
 */
function prepareNode(): void {
  const util: { isNullOrUndefined?: (value: unknown) => boolean } = createRequire(import.meta.url)(
    'node:util',
  );
  util.isNullOrUndefined ??= (value) => value === null || value === undefined;
  process.env.NVIDIA_TF32_OVERRIDE ??= '0';
}

/** Puts Dawn where the WebGPU backend looks for it: `navigator.gpu` and the classes of the standard. */
function offerWebGpu(dawn: unknown): void {
  const { create, globals } = dawn as { create: (flags: string[]) => object; globals: object }; // the package `webgpu`
  Object.assign(globalThis, globals);
  const navigator = globalThis.navigator ?? {};
  if (!('gpu' in navigator)) Object.defineProperty(navigator, 'gpu', { value: create([]) });
  globalThis.navigator ??= navigator;
}

const FAULTS = ['uncaughtException', 'unhandledRejection'] as const;
type Handlers = ReadonlyMap<string, readonly unknown[]>;

function processHandlers(events: NodeJS.EventEmitter = process): Handlers {
  return new Map(FAULTS.map((fault) => [fault, events.rawListeners(fault)]));
}

/** WebAssembly made by Emscripten listens for faults of the whole process and throws them again: that is not its business. */
function removeHandlersExcept(before: Handlers, events: NodeJS.EventEmitter = process): void {
  for (const fault of FAULTS) {
    const added = events.listeners(fault).filter((listener) => !before.get(fault)?.includes(listener));
    for (const listener of added) events.removeListener(fault, listener as () => void); // as it was added
  }
}

/** Adds two numbers on the device. */
async function probe(tf: Tf): Promise<void> {
  const sum = tf.tidy(() => tf.add(tf.tensor1d([1]), 1));
  const [value] = await sum.data();
  sum.dispose();
  if (value !== 2) throw new Error(`1 + 1 gave ${value}`);
}

function usesGpu(tf: Tf): boolean {
  return (tf.backend() as { isUsingGpuDevice?: boolean }).isUsingGpuDevice === true; // a field of tfjs-node's backend
}

function unavailable(name: TfjsBackend, reason: string, cause?: unknown): Problem {
  const full = /[.!]$/.test(reason) ? reason : `${reason}.`;
  return new Problem(
    'engine-unavailable',
    `TensorFlow.js cannot be used on "${name}": ${full}`,
    { backend: name },
    { cause },
  );
}

function sentence(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
