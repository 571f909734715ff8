import { createHash } from 'node:crypto';
import { z } from 'zod';
import { parseBudgetHeader } from '../budget/index.ts';
import { isProblem } from '../problem/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import type { Embedder } from './embedder.ts';

/** One batch as the state machine of `deploy/aws/bulk.yml` gives it. */
export const BulkBatchSchema = z.object({
  Items: z.array(z.object({ key: z.string().min(1) })).min(1),
  BatchInput: z.object({
    model: z.string().min(1),
    budget: z.string(),
    run: z.string().regex(/^[\w.-]{1,100}$/, 'letters, digits, ".", "_" and "-"'),
    bucket: z.string().min(1),
  }),
});
export type BulkBatch = z.infer<typeof BulkBatchSchema>;

export interface BulkResult {
  /** Object with one JSON line per picture. */
  readonly key: string;
  readonly embedded: number;
  readonly failed: number;
}

/**
 * Embeds the pictures of one batch and writes `results/<run>/<digest of the keys>.jsonl`. A picture that cannot be read
 * gets a line with its error. The name depends on the keys alone: a batch that is tried again overwrites itself.
 */
export async function embedBatch(
  { Items, BatchInput }: BulkBatch,
  bucket: ObjectStore,
  embedder: Embedder,
): Promise<BulkResult> {
  const chosen = embedder.plan(parseBudgetHeader(BatchInput.budget));
  const { level, flops, fidelity } = chosen;
  const keys = Items.map(({ key }) => key);
  const lines: string[] = [];
  let failed = 0;
  let next = 0;
  const worker = async () => {
    while (next < keys.length) {
      const index = next++;
      const key = keys[index] ?? '';
      try {
        const { body } = await bucket.get(key);
        const embedding = Array.from(await embedder.embed(body, chosen));
        lines[index] = JSON.stringify({ key, level, flops, fidelity, embedding });
      } catch (error) {
        // A store or an engine that fails is the batch's failure, and tried again; a bad picture is only its own.
        if (
          !isProblem(error) ||
          !['undecodable-image', 'too-many-pixels', 'object-not-found'].includes(error.code)
        )
          throw error;
        failed++;
        lines[index] = JSON.stringify({ key, error: { code: error.code, message: error.message } });
      }
    }
  };
  await Promise.all(Array.from({ length: 2 * embedder.concurrency }, worker));
  const name = createHash('sha256')
    .update(JSON.stringify([embedder.digest, keys]))
    .digest('hex')
    .slice(0, 24);
  const key = `results/${BatchInput.run}/${name}.jsonl`;
  await bucket.put(key, new TextEncoder().encode(`${lines.join('\n')}\n`), {
    contentType: 'application/x-ndjson',
  });
  return { key, embedded: keys.length - failed, failed };
}
