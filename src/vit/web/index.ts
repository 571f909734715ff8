/** What needs WebAssembly codecs instead of Node: decoding in a Worker. */
export { BYTES_PER_PIXEL, type CodecModules, needsNative, wasmDecoder } from './wasm-decoder.ts';
