/**
 * Measures how long each level takes in WebAssembly on this machine, and stores it beside the checkpoint, where Workers look
 * for it: `node deploy/worker-profile.ts --store s3://… --model vit-tiny [--factor 1.5]`
 * A Worker cannot measure itself: its clock stands still while it computes.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { LatencyProfile, type StoredProfile } from '../src/budget/index.ts';
import { openCheckpoint } from '../src/checkpoint/index.ts';
import { EDGE_FINGERPRINT, profileKey } from '../src/edge/index.ts';
import { createWebModel } from '../src/engine/runtime/wasm/index.ts';
import { openStore } from '../src/storage/node.ts';

const RUNS = 7;

/**
 * @param factor how much slower a Worker is taken to be than this machine
 * @returns the profile as it was stored
 */
export async function storeWorkerProfile(url: string, name: string, factor = 1): Promise<StoredProfile> {
  const store = await openStore(url);
  const { digest, manifest, levels } = await openCheckpoint(store, name);
  const { config, ladder } = manifest;
  const engine = await createWebModel({ config, variants: ladder, wasm: await runtimeModule() });
  const pixels = new Float32Array(3 * config.imageSize ** 2);
  const profile = new LatencyProfile();
  for await (const increment of levels()) {
    await engine.install(increment);
    const { level } = increment;
    const times: number[] = [];
    for (let run = 0; run <= RUNS; run++) {
      const began = performance.now();
      await engine.embed(pixels, 1, { level });
      if (run > 0) times.push(factor * (performance.now() - began));
    }
    profile.measure(level, 'fp32', 1, times);
  }
  await engine.dispose();
  const stored: StoredProfile = { version: 1, fingerprint: EDGE_FINGERPRINT, entries: profile.entries() };
  const body = new TextEncoder().encode(JSON.stringify(stored));
  await store.put(profileKey(name, digest), body, { contentType: 'application/json' });
  return stored;
}

async function runtimeModule(): Promise<object> {
  const file = createRequire(import.meta.url).resolve('onnxruntime-web/ort-wasm-simd-threaded.wasm');
  // Node has it; the libraries that the sources are checked against do not declare it.
  const { WebAssembly } = globalThis as unknown as {
    WebAssembly: { compile(bytes: Uint8Array): Promise<object> };
  };
  return await WebAssembly.compile(await readFile(file));
}

if (import.meta.main) {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { store: text, model: text, factor: text } });
  const { entries } = await storeWorkerProfile(
    values.store ?? '',
    values.model ?? '',
    Number(values.factor ?? 1),
  );
  for (const { level, median, p95 } of entries)
    process.stdout.write(`level ${level}: ${median.toFixed(1)} ms, 95th percentile ${p95.toFixed(1)} ms\n`);
}
