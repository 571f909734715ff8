import type { HonoRequest } from 'hono';
import type { Budget } from '../../budget/index.ts';
import type { ServedModel } from '../../serving/index.ts';
import type { EmbeddedImage } from '../embed-images.ts';
import type { ImageItem } from '../image-input.ts';
import type { GatewayParts } from '../options.ts';
import type { VectorOptions } from '../project.ts';
import type { Route } from '../route.ts';

/** What is known of a request before its body has been read. */
export type Head = Pick<HonoRequest, 'header' | 'query' | 'param'>;

/** What a request asks for, whatever dialect it is written in. */
export interface Asked {
  readonly images: readonly ImageItem[];
  /** Name of a model; the only or default one if absent. */
  readonly model?: string | undefined;
  readonly vector: VectorOptions;
  /** Of the body; that of the header is added to it. */
  readonly budget?: Budget | undefined;
  /** What one image's failure does: it fails the request, or it is told in its place as long as others succeed. */
  readonly failure: 'request' | 'item';
}

/** What came out of it, in the order of the images. */
export interface Answer {
  readonly requestId: string;
  readonly model: ServedModel;
  /** Name of the space that the vectors lie in. */
  readonly space: string;
  readonly results: readonly EmbeddedImage[];
}

/** What was done: patches that the network looked at, of the images that were embedded, and the operations of their levels. */
export function usageOf({ model, results }: Answer): { patches: number; gflops: number } {
  const { imageSize, patchSize } = model.config;
  const embedded = results.flatMap((result) => ('record' in result ? [result.record.gflops] : []));
  return {
    patches: Math.floor(imageSize / patchSize) ** 2 * embedded.length,
    gflops: Number(embedded.reduce((sum, gflops) => sum + gflops, 0).toPrecision(6)),
  };
}

/** An answer's body: an object is JSON, bytes are `application/octet-stream` unless the headers say otherwise. */
export interface Rendered {
  readonly body: object | Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One way of asking for embeddings over HTTP: where, how it is read, how it is answered, how it says problems. */
export interface Dialect<A extends Asked> extends Pick<Route, 'path' | 'operation' | 'schemas' | 'problem'> {
  /** Looks at the head, before the body is read. @throws Problem for what cannot be answered */
  accept?(head: Head, parts: GatewayParts): void;
  /** @throws Problem('malformed-body'), ('malformed-budget'), … */
  parse(body: Uint8Array<ArrayBuffer>, head: Head): A | Promise<A>;
  render(answer: Answer, asked: A): Rendered;
}
