import { z } from 'zod';
import { Problem } from '../problem/index.ts';
import type { ObjectStore } from '../storage/index.ts';

/** What the state machine of `deploy/aws/bulk.yml` gives after its map: where its ResultWriter wrote. */
export const BulkRunSchema = z.object({
  run: z.string().regex(/^[\w.-]{1,100}$/),
  bucket: z.string().min(1),
  /** Share of the pictures that may fail. */
  tolerated: z.number().min(0).max(1).default(0.01),
  /** Key of the ResultWriter's manifest. */
  manifest: z.string().min(1),
});

const FilesSchema = z.array(z.object({ Key: z.string() })).default([]);
const ManifestSchema = z.object({
  ResultFiles: z.object({ SUCCEEDED: FilesSchema, FAILED: FilesSchema, PENDING: FilesSchema }),
});
const ExecutionsSchema = z.array(z.object({ Input: z.string(), Output: z.string().optional() }));
const InputSchema = z.object({ Items: z.array(z.object({ key: z.string() })) });
const OutputSchema = z.object({ embedded: z.number(), failed: z.number() });

export interface BulkReport {
  readonly embedded: number;
  /** Pictures that could not be read; the lines of the results say why. */
  readonly failed: number;
  /** Keys of batches that failed as a whole: run them again. */
  readonly missing: readonly string[];
}

/**
 * Counts what became of every picture of a bulk run, and writes it to `results/<run>/report.json`.
 * @throws Problem('bulk-incomplete') when more failed than is tolerated, after the report has been written
 */
export async function reportRun(
  { run, tolerated, manifest }: z.infer<typeof BulkRunSchema>,
  bucket: ObjectStore,
): Promise<BulkReport> {
  const read = async <T>(key: string, schema: z.ZodType<T>): Promise<T> =>
    schema.parse(JSON.parse(new TextDecoder().decode((await bucket.get(key)).body)));
  const { SUCCEEDED, FAILED, PENDING } = (await read(manifest, ManifestSchema)).ResultFiles;
  let [embedded, failed] = [0, 0];
  for (const { Key } of SUCCEEDED) {
    for (const { Output = '{}' } of await read(Key, ExecutionsSchema)) {
      const batch = OutputSchema.parse(JSON.parse(Output));
      embedded += batch.embedded;
      failed += batch.failed;
    }
  }
  const missing: string[] = [];
  for (const { Key } of [...FAILED, ...PENDING])
    for (const { Input } of await read(Key, ExecutionsSchema))
      missing.push(...InputSchema.parse(JSON.parse(Input)).Items.map(({ key }) => key));
  const report: BulkReport = { embedded, failed, missing };
  const body = new TextEncoder().encode(`${JSON.stringify(report)}\n`);
  await bucket.put(`results/${run}/report.json`, body, { contentType: 'application/json' });
  const all = embedded + failed + missing.length;
  if (failed + missing.length > tolerated * all)
    throw new Problem(
      'bulk-incomplete',
      `${failed + missing.length} of ${all} pictures were not embedded, more than the tolerated share of ${tolerated}. results/${run}/report.json lists batches that failed; run it again under the same name, and what is there already is written again as it was.`,
      { failed, missing: missing.length },
    );
  return report;
}
