/**
 * The gateway as a Cloudflare Worker (`deploy/wrangler.jsonc`). One `Edge` per isolate, made at its first request: outside
 * of requests a Worker may neither wait nor draw random numbers.
 */
import jpeg from '@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm';
import png from '@jsquash/png/codec/pkg/squoosh_png_bg.wasm';
import webp from '@jsquash/webp/codec/dec/webp_dec.wasm';
import runtime from 'onnxruntime-web/ort-wasm-simd-threaded.wasm';
import tiers from '../deploy/tiers.yaml';
import packageJson from '../package.json' with { type: 'json' };
import { Edge, type EdgeBindings, type EdgeContext } from '../src/edge/index.ts';

let edge: Edge | undefined;

export default {
  async fetch(request: Request, bindings: EdgeBindings, context: EdgeContext): Promise<Response> {
    const { version } = packageJson;
    edge ??= new Edge({ bindings, tiers, runtime, codecs: { jpeg, png, webp }, version });
    return await edge.fetch(request, context);
  },
};
