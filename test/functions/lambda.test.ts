import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import type { handler as Handler, stream as Stream } from '../../functions/lambda/gateway.ts';
import { openStore } from '../../src/storage/node.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { publishTiny } from '../support/tiny-store.ts';
import { lambdaEvent } from './lambda-event.ts';

interface Answer {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly isBase64Encoded: boolean;
}

let handler: typeof Handler;
let stream: typeof Stream;
let image: Uint8Array<ArrayBuffer>;

/** Stands in for the runtime's global, which exists only inside Lambda: collects what would be streamed. */
class FakeResponseStream extends Writable {
  metadata: { statusCode: number; headers: Record<string, string> } | undefined;
  readonly chunks: Uint8Array[] = [];
  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.chunks.push(chunk);
    done();
  }
}

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'concertina-lambda-'));
  await publishTiny(await openStore(folder));
  vi.stubEnv('CONCERTINA_STORE', folder);
  vi.stubEnv('CONCERTINA_CONFIG', join(import.meta.dirname, '../../deploy/tiers.yaml'));
  vi.stubEnv('CONCERTINA_TIER', 'free');
  vi.stubEnv('CONCERTINA_BASE_PATH', '/free');
  vi.stubEnv('CONCERTINA_WORKERS', '1');
  vi.stubGlobal('awslambda', {
    streamifyResponse: (inner: unknown) => inner,
    HttpResponseStream: {
      from(target: FakeResponseStream, metadata: FakeResponseStream['metadata']) {
        target.metadata = metadata;
        return target;
      },
    },
  });
  ({ handler, stream } = await import('../../functions/lambda/gateway.ts'));
  image = await picture();
});

const call = async (path: string, body: Uint8Array, headers: Record<string, string>, method?: string) =>
  // The handler's declared answer also allows older event versions, whose shape differs.
  (await handler(
    lambdaEvent(path, body, headers, method) as unknown as Parameters<typeof handler>[0],
  )) as unknown as Answer;

describe('the Lambda handler', () => {
  it('embeds a binary body of an HTTP API event, within the tier', async () => {
    const answer = await call('/free/v1/embed', image, { 'content-type': 'image/png' });
    expect(answer).toMatchObject({ statusCode: 200, isBase64Encoded: false });
    expect(JSON.parse(answer.body).embedding).toHaveLength(12);
    // deploy/tiers.yaml: the free tier never gets more than half of the FLOPs.
    const [, flops] = /flops=([\d.]+)/.exec(answer.headers['compute-applied'] ?? '') ?? [];
    expect(Number(flops)).toBeLessThanOrEqual(0.5);
    expect(answer.headers['compute-applied']).toContain('limited-by=tier');
  });

  it('gives binary answers as base64', async () => {
    const accept = { 'content-type': 'image/png', accept: 'application/octet-stream' };
    const answer = await call('/free/v1/embed', image, accept);
    expect(answer.isBase64Encoded).toBe(true);
    expect(Buffer.from(answer.body, 'base64')).toHaveLength(48);
  });

  it('takes JSON and forms, and answers problems', async () => {
    const json = new TextEncoder().encode(JSON.stringify({ input: [dataUri(image), dataUri(image)] }));
    const list = await call('/free/v1/embeddings', json, { 'content-type': 'application/json' });
    expect(JSON.parse(list.body).data).toHaveLength(2);
    const form = new FormData();
    form.append('image', new Blob([image]), 'a.png');
    const request = new Request('http://x', { method: 'POST', body: form });
    const type = request.headers.get('content-type') ?? '';
    const parts = await call('/free/v1/embed', new Uint8Array(await request.arrayBuffer()), {
      'content-type': type,
    });
    expect(JSON.parse(parts.body).data).toHaveLength(1);
    const broken = await call('/free/v1/embed', new Uint8Array(9), { 'content-type': 'image/png' });
    expect(broken).toMatchObject({ statusCode: 422 });
    expect(broken.headers['content-type']).toBe('application/problem+json');
    expect((await call('/free/readyz', new Uint8Array(), {}, 'GET')).statusCode).toBe(200);
  });

  it('streams the answer of a function URL', async () => {
    const target = new FakeResponseStream();
    const sent = lambdaEvent('/free/v1/embed', image, { 'content-type': 'image/png' });
    await (stream as unknown as (event: unknown, target: FakeResponseStream) => Promise<void>)(sent, target); // as the runtime calls it
    expect(target.metadata?.statusCode).toBe(200);
    expect(JSON.parse(Buffer.concat(target.chunks).toString()).embedding).toHaveLength(12);
  });
});
