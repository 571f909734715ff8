/** Embeds one batch of objects for the bulk state machine (`deploy/aws/bulk.yml`). */
import {
  BulkBatchSchema,
  type BulkResult,
  type Embedder,
  embedBatch,
  openEmbedder,
} from '../../src/host/index.ts';
import { openStore } from '../../src/storage/node.ts';

const store = await openStore(process.env.CONCERTINA_STORE ?? '');
const embedders = new Map<string, Promise<Embedder>>();

export async function handler(event: unknown): Promise<BulkResult> {
  const batch = BulkBatchSchema.parse(event);
  const { model, bucket } = batch.BatchInput;
  const embedder = embedders.get(model) ?? openEmbedder(store, model);
  embedders.set(model, embedder);
  try {
    return await embedBatch(
      batch,
      await openStore(/^\w+:/.test(bucket) ? bucket : `s3://${bucket}`),
      await embedder,
    );
  } catch (error) {
    embedders.delete(model);
    throw error;
  }
}
