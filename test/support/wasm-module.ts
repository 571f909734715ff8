import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

interface Compiler {
  compile(bytes: Uint8Array): Promise<object>;
}
// Node has it; the libraries that tests are checked against do not declare it.
const { WebAssembly } = globalThis as unknown as { WebAssembly: Compiler };

/** Compiles a `.wasm` of a package, as a Worker is given it. */
export async function wasmModule(specifier: string): Promise<object> {
  return await WebAssembly.compile(await readFile(fileURLToPath(import.meta.resolve(specifier))));
}
