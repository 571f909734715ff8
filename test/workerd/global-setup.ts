import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';
import { openCheckpoint } from '../../src/checkpoint/index.ts';
import { createModel } from '../../src/engine/index.ts';
import { startServer } from '../../src/host/index.ts';
import type { ObjectStore } from '../../src/storage/index.ts';
import { openStore } from '../../src/storage/node.ts';
import { sharpDecoder } from '../../src/vit/node.ts';
import { wasmDecoder } from '../../src/vit/web/index.ts';
import { wasmModule } from '../support/wasm-module.ts';
import { WORKERD_STORE } from './store-folder.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Address of a native gateway on the same checkpoint, behind a recorder: the origin. */
    readonly origin: string;
    /** The native engine's answer at every level, not normalised, for `car-1.jpg` as the Worker decodes it. */
    readonly native: readonly (readonly number[])[];
    /** The same for the picture as libvips decodes it. */
    readonly libvips: readonly (readonly number[])[];
  }
}

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
const ASSETS = join(import.meta.dirname, '../../assets');

/** Prunes the sample model with the real command; starts a native gateway on it, and a recorder before that. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  await pruneSample();
  const store = await openStore(WORKERD_STORE);
  const car = await readFile(join(ASSETS, 'sample-images/car-1.jpg'));
  const { native, libvips } = await nativeAnswers(store, car);
  const gateway = await startServer({ store, port: 0, workers: 1 });
  await gateway.loaded();
  const recorder = await startRecorder(gateway.url);
  provide('origin', recorder.url);
  provide('native', native);
  provide('libvips', libvips);
  return async () => {
    await recorder.close();
    await gateway.close();
  };
}

/** `car-1.jpg` at every level in the native engine, decoded by either decoder. */
async function nativeAnswers(store: ObjectStore, car: Uint8Array) {
  const { manifest, levels } = await openCheckpoint(store, 'sample');
  const { config, ladder } = manifest;
  const engine = await createModel({ config, variants: ladder, device: 'cpu', workers: 1 });
  for await (const level of levels()) await engine.install(level);
  const decoder = wasmDecoder({
    jpeg: await wasmModule('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm'),
    png: await wasmModule('@jsquash/png/codec/pkg/squoosh_png_bg.wasm'),
    webp: await wasmModule('@jsquash/webp/codec/dec/webp_dec.wasm'),
  });
  const answers = async (pixels: Float32Array) =>
    await Promise.all(ladder.map(async (_, level) => [...(await engine.embed(pixels, 1, { level }))]));
  const native = await answers(await decoder.decode(car, config));
  const libvips = await answers(await sharpDecoder().decode(car, config));
  await engine.dispose();
  return { native, libvips };
}

async function pruneSample(): Promise<void> {
  await rm(WORKERD_STORE, { recursive: true, force: true });
  await mkdir(WORKERD_STORE, { recursive: true });
  const words = ['prune', '--model', join(ASSETS, 'sample-model'), '--images', join(ASSETS, 'sample-images')];
  await promisify(execFile)(process.execPath, [
    ...[MAIN, ...words, '--store', WORKERD_STORE, '--name', 'sample', '--recipe', 'quick'],
    ...['--work', join(WORKERD_STORE, 'work')],
  ]);
  const [digest = ''] = (await readdir(join(WORKERD_STORE, 'sample'))).filter((name) =>
    /^[0-9a-f]{64}$/.test(name),
  );
  const folder = join(WORKERD_STORE, 'sample', digest);
  const files = (await readdir(folder)).filter((name) => name.includes('.'));
  await writeFile(
    join(WORKERD_STORE, 'files.json'),
    JSON.stringify([...files.map((name) => `sample/${digest}/${name}`), 'sample/latest.json']),
  );
}

/** A proxy on this machine that keeps the headers of the last request, at `/recorded`. */
async function startRecorder(target: string): Promise<{ url: string; close(): Promise<void> }> {
  let last: IncomingHttpHeaders = {};
  const server = createServer(async (request, response) => {
    if (request.url === '/recorded') {
      response.end(JSON.stringify(last));
      return;
    }
    last = { ...request.headers, path: request.url ?? '' };
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const { host: _host, connection: _connection, ...headers } = request.headers;
    const answer = await fetch(target + (request.url ?? '').replace(/^\/tiers\/\w+/, ''), {
      method: request.method ?? 'GET',
      headers: Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]),
      body: Buffer.concat(chunks),
    });
    const passed = [...answer.headers].filter(
      ([name]) => !['transfer-encoding', 'connection'].includes(name),
    );
    response.writeHead(answer.status, Object.fromEntries(passed));
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => new Promise((done) => server.close(() => done())),
  };
}
