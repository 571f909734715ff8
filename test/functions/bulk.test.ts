import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  BulkBatchSchema,
  BulkRunSchema,
  type Embedder,
  embedBatch,
  openEmbedder,
  reportRun,
} from '../../src/host/index.ts';
import { memoryStore } from '../../src/storage/index.ts';
import { picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

let embedder: Embedder;
beforeAll(async () => {
  embedder = await openEmbedder(await tinyStore(), 'tiny');
});
afterAll(() => embedder.close());

describe('a bulk batch', () => {
  it('writes one line per picture, in order, under a name that a second try overwrites', async () => {
    const bucket = memoryStore();
    await bucket.put('bulk/a.png', await picture('#ff0000'));
    await bucket.put('bulk/b.txt', new TextEncoder().encode('no picture'));
    await bucket.put('bulk/c.png', await picture('#00ff00'));
    const batch = BulkBatchSchema.parse({
      Items: [{ key: 'bulk/a.png' }, { key: 'bulk/b.txt' }, { key: 'bulk/gone.png' }, { key: 'bulk/c.png' }],
      BatchInput: { model: 'tiny', budget: 'level=1', run: 'today', bucket: 'pictures' },
    });
    const first = await embedBatch(batch, bucket, embedder);
    expect(first).toMatchObject({ embedded: 2, failed: 2 });
    expect(await embedBatch(batch, bucket, embedder)).toEqual(first);
    const { body } = await bucket.get(first.key);
    const lines = new TextDecoder()
      .decode(body)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ key, error }) => [key, error?.code])).toEqual([
      ['bulk/a.png', undefined],
      ['bulk/b.txt', 'undecodable-image'],
      ['bulk/gone.png', 'object-not-found'],
      ['bulk/c.png', undefined],
    ]);
    expect(lines[0]).toMatchObject({ level: 1, fidelity: 0.9 });
    expect(lines[0].embedding).toHaveLength(12);
    expect(Math.hypot(...lines[0].embedding)).toBeCloseTo(1, 5);
    expect(lines[0].embedding).not.toEqual(lines[3].embedding);
  });

  it('refuses a run name that would leave its folder', () => {
    const input = { model: 'tiny', budget: '', run: '../models', bucket: 'pictures' };
    expect(BulkBatchSchema.safeParse({ Items: [{ key: 'a' }], BatchInput: input }).success).toBe(false);
  });
});

describe('the report of a bulk run', () => {
  /** As Step Functions' ResultWriter writes: a manifest, and lists of child executions whose input and output are JSON texts. */
  async function written(succeeded: { embedded: number; failed: number }[], lost: string[]) {
    const bucket = memoryStore();
    const put = (key: string, value: unknown) =>
      bucket.put(key, new TextEncoder().encode(JSON.stringify(value)));
    const folder = 'results/manifests/8f2b';
    const child = (Input: unknown, Output?: unknown) => ({
      ExecutionArn: 'arn:aws:states:eu-central-1:1:execution:m/EmbedAll:1',
      Input: JSON.stringify(Input),
      ...(Output === undefined ? {} : { Output: JSON.stringify(Output) }),
      Status: Output === undefined ? 'FAILED' : 'SUCCEEDED',
    });
    await put(
      `${folder}/SUCCEEDED_0.json`,
      succeeded.map((output) => child({ Items: [] }, { key: 'results/today/a.jsonl', ...output })),
    );
    if (lost.length > 0)
      await put(`${folder}/FAILED_0.json`, [child({ Items: lost.map((key) => ({ key })) })]);
    await put(`${folder}/manifest.json`, {
      DestinationBucket: 'b',
      MapRunArn: 'arn:aws:states:eu-central-1:1:mapRun:m/EmbedAll:1',
      ResultFiles: {
        FAILED: lost.length > 0 ? [{ Key: `${folder}/FAILED_0.json`, Size: 1 }] : [],
        PENDING: [],
        SUCCEEDED: [{ Key: `${folder}/SUCCEEDED_0.json`, Size: 1 }],
      },
    });
    const run = BulkRunSchema.parse({ run: 'today', bucket: 'b', manifest: `${folder}/manifest.json` });
    return { bucket, run };
  }

  it('counts pictures, not batches', async () => {
    const { bucket, run } = await written(
      [
        { embedded: 150, failed: 1 },
        { embedded: 50, failed: 0 },
      ],
      [],
    );
    const report = { embedded: 200, failed: 1, missing: [] };
    expect(await reportRun(run, bucket)).toEqual(report);
    const { body } = await bucket.get('results/today/report.json');
    expect(JSON.parse(new TextDecoder().decode(body))).toEqual(report);
  });

  it('lists the pictures of batches that failed, and fails when they are too many', async () => {
    const { bucket, run } = await written([{ embedded: 97, failed: 1 }], ['bulk/a.png', 'bulk/b.png']);
    await expect(reportRun(run, bucket)).rejects.toMatchObject({ code: 'bulk-incomplete' });
    const { body } = await bucket.get('results/today/report.json');
    expect(JSON.parse(new TextDecoder().decode(body)).missing).toEqual(['bulk/a.png', 'bulk/b.png']);
    expect(await reportRun({ ...run, tolerated: 0.03 }, bucket)).toMatchObject({ embedded: 97 });
  });
});
