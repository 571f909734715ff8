import { createExecutionContext, env } from 'cloudflare:test';
import jpeg from '@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm';
import png from '@jsquash/png/codec/pkg/squoosh_png_bg.wasm';
import webp from '@jsquash/webp/codec/dec/webp_dec.wasm';
import runtime from 'onnxruntime-web/ort-wasm-simd-threaded.wasm';
import { Edge } from '../../src/edge/index.ts';

const ONE_TIER = JSON.stringify({ tiers: { free: { default: true } } });

/** A gateway of its own with other settings, in the tests' isolate. */
export function edgeWith(variables: Readonly<Record<string, unknown>>) {
  const bindings = { ...env, MODELS: env.MODELS, CONCERTINA_TIERS: ONE_TIER, ...variables };
  const edge = new Edge({ bindings, tiers: ONE_TIER, runtime, codecs: { jpeg, png, webp }, version: '0' });
  return (path: string, init: RequestInit = {}) =>
    edge.fetch(new Request(`http://worker${path}`, init), createExecutionContext());
}

/** Copies the checkpoint that `concertina prune` has written into the bucket. */
export async function fillBucket(): Promise<void> {
  const names: string[] = await (await env.FILES.fetch('http://files/files.json')).json();
  for (const name of names) {
    const body = await (await env.FILES.fetch(`http://files/${name}`)).arrayBuffer();
    await env.MODELS.put(name, new Uint8Array(body));
  }
}

export async function sampleImage(name: string): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await (await env.FILES.fetch(`http://files/sample-images/${name}`)).arrayBuffer());
}

export function post(
  body: Uint8Array<ArrayBuffer>,
  headers: Readonly<Record<string, string>> = {},
): RequestInit {
  return { method: 'POST', body, headers: { 'Content-Type': 'image/jpeg', ...headers } };
}

/** `Compute-Applied` as a record. */
export function applied(response: Response): Record<string, string> {
  const header = response.headers.get('Compute-Applied') ?? '';
  return Object.fromEntries(header.split(', ').map((part) => part.split('=') as [string, string]));
}

/** The JSON of an answer, in the shape that the test goes on to check. */
export async function json<T>(answer: Response | Promise<Response>): Promise<T> {
  return (await (await answer).json()) as T; // what is read of it is compared with expected values
}
