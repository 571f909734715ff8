import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const { resolve } = createRequire(import.meta.url);

/** Whether a package is there; says nothing about whether it works. */
export function installed(specifier: string): boolean {
  try {
    resolve(specifier);
    return true;
  } catch {
    return false;
  }
}

interface Compiler {
  compile(bytes: Uint8Array): Promise<object>;
}
// Node has it; the libraries that the sources are checked against do not declare it.
const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: Compiler };

/** Compiles a `.wasm` file of a package. */
export async function wasmOfPackage(specifier: string): Promise<object> {
  return await WebAssembly.compile(await readFile(resolve(specifier)));
}
