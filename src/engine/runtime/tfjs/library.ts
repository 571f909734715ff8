import { createRequire } from 'node:module';
import type { Tf } from './values.ts';

/** What is loaded of TensorFlow.js, and by which of its backends it computes. */
export interface TfjsRecipe {
  /** Packages to import, in order; the operators come from the first. */
  readonly packages: readonly string[];
  /** Its name within TensorFlow.js. */
  readonly backend: string;
  /** It must not fall back to the processor. */
  readonly gpu?: boolean;
}

let loaded: { readonly recipe: TfjsRecipe; readonly tf: Promise<Tf> } | undefined;

/**
 * Loads TensorFlow.js on a backend, once per process: its backend is global.
 * @throws Error with the reason
 */
export async function loadTfjs(recipe: TfjsRecipe): Promise<Tf> {
  if (loaded && loaded.recipe !== recipe)
    throw new Error(
      `This process already computes with TensorFlow.js's backend "${loaded.recipe.backend}" of ${loaded.recipe.packages.at(-1)}.`,
    );
  loaded ??= { recipe, tf: start(recipe) };
  try {
    return await loaded.tf;
  } catch (error) {
    loaded = undefined;
    throw error;
  }
}

async function start({ packages, backend, gpu = false }: TfjsRecipe): Promise<Tf> {
  prepareNode();
  const modules: unknown[] = [];
  for (const specifier of packages) {
    if (specifier === '@tensorflow/tfjs-backend-webgpu') offerWebGpu(modules.at(-1));
    const imported: { readonly default?: unknown } = await import(specifier);
    modules.push(imported.default ?? imported); // CommonJS modules lie under `default`
  }
  const tf = modules[0] as Tf; // what these packages export; the probe of the device uses it
  const handlers = processHandlers();
  if (!(await tf.setBackend(backend))) throw new Error(`Its backend "${backend}" does not start.`);
  await tf.ready();
  removeHandlersExcept(handlers);
  if (gpu && !usesGpu(tf))
    throw new Error('It sees no CUDA device, or cannot load the libraries of CUDA 11 and cuDNN 8.');
  return tf;
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

function usesGpu(tf: Tf): boolean {
  return (tf.backend() as { isUsingGpuDevice?: boolean }).isUsingGpuDevice === true; // a field of tfjs-node's backend
}
