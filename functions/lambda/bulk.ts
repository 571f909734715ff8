/** Embeds the batches of the bulk state machine (`deploy/aws/bulk.yml`), and reports what became of a run. */
import {
  BulkBatchSchema,
  type BulkReport,
  type BulkResult,
  BulkRunSchema,
  type Embedder,
  embedBatch,
  openEmbedder,
  reportRun,
} from '../../src/host/index.ts';
import { openStore } from '../../src/storage/node.ts';

const store = await openStore(process.env.CONCERTINA_STORE ?? '');
const embedders = new Map<string, Promise<Embedder>>();

const opened = (bucket: string) => openStore(/^\w+:/.test(bucket) ? bucket : `s3://${bucket}`);

/** Embeds one batch. */
export async function handler(event: unknown): Promise<BulkResult> {
  const batch = BulkBatchSchema.parse(event);
  const { model, bucket } = batch.BatchInput;
  const embedder = embedders.get(model) ?? openEmbedder(store, model);
  embedders.set(model, embedder);
  try {
    return await embedBatch(batch, await opened(bucket), await embedder);
  } catch (error) {
    embedders.delete(model);
    throw error;
  }
}

/** Counts what became of a run when its batches are done. */
export async function report(event: unknown): Promise<BulkReport> {
  const run = BulkRunSchema.parse(event);
  return await reportRun(run, await opened(run.bucket));
}
