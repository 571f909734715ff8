import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

interface Compiler {
  compile(bytes: Uint8Array): Promise<object>;
}
// Node has it; the libraries that tests are checked against do not declare it.
const { WebAssembly } = globalThis as unknown as { WebAssembly: Compiler };
const { resolve } = createRequire(import.meta.url);

/** Compiles a `.wasm` of a package, as a Worker is given it. */
export async function wasmModule(specifier: string): Promise<object> {
  return await WebAssembly.compile(await readFile(resolve(specifier)));
}
