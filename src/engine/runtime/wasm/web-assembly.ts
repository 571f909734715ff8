/** A compiled WebAssembly module, as `import wasm from './x.wasm'` gives it in a Worker. */
export type WasmModule = object;

/** What is used of `WebAssembly`; the libraries that the sources are checked against do not declare it. */
interface WebAssemblyHost {
  instantiate(source: unknown, imports: unknown): Promise<object>;
  readonly Module: abstract new (bytes: Uint8Array) => WasmModule;
  readonly Memory: abstract new () => WasmMemory;
}

/** The linear memory of an instance: it grows and never shrinks. */
export interface WasmMemory {
  readonly buffer: { readonly byteLength: number };
}

// Every JavaScript host has it; see above why it must be told so.
const host = (globalThis as unknown as { readonly WebAssembly: WebAssemblyHost }).WebAssembly;

/**
 * Runs `start` with an instantiation of bytes turned into one of `module`: a Worker may not compile WebAssembly at run
 * time, only instantiate modules that were deployed with it, and ONNX Runtime's loader only knows bytes.
 * @returns what `start` gives, and the memory that the instance was given
 */
export async function withModule<T>(
  module: WasmModule,
  start: () => Promise<T>,
): Promise<{ readonly result: T; readonly memory: WasmMemory | undefined }> {
  const original = host.instantiate;
  let memory: WasmMemory | undefined;
  host.instantiate = async (source, imports) => {
    if (source instanceof host.Module) return await original.call(host, source, imports);
    memory = memoryOf(imports);
    const instance = await original.call(host, module, imports);
    return { module, instance };
  };
  try {
    return { result: await start(), memory };
  } finally {
    host.instantiate = original;
  }
}

/** Modules import their memory under minified names. */
function memoryOf(imports: unknown): WasmMemory | undefined {
  for (const group of Object.values(Object(imports))) {
    for (const value of Object.values(Object(group))) if (value instanceof host.Memory) return value;
  }
  return undefined;
}
