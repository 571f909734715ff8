/**
 * Size and number of parallel ranged reads: time to read an object of 24 MB from a RADOS Gateway over loopback and shaped links.
 * `npm run bench -- range-reads [--quick] [--rounds 3] [--out folder]`. What `src/checkpoint/read-ahead.ts` and the writer's ranges
 * are set by.
 */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import type { ObjectStore } from '../../src/storage/index.ts';
import { s3Store } from '../../src/storage/s3.ts';
import { createS3Client } from '../../src/storage/s3-client.ts';
import { cephInstalled, startGateway } from '../../test/s3/ceph.ts';
import { machine } from '../common/machine.ts';
import { shapedLink } from '../common/shaped-link.ts';
import { median, spread } from '../common/statistics.ts';

const OBJECT_BYTES = 24 * 2 ** 20;
const KEY = 'object';
const LINKS = ['50', '400', 'loopback'] as const;
const SIZES_KB = [256, 1024, 4096] as const;
const PARALLEL = [1, 2, 4, 8, 16] as const;
/** What the product does. */
const OURS = { sizeKb: 1024, parallel: 8 };

const { values } = parseArgs({
  options: { quick: { type: 'boolean' }, rounds: { type: 'string', default: '3' }, out: { type: 'string' } },
});

interface Cell {
  readonly link: (typeof LINKS)[number];
  readonly sizeKb: number;
  readonly parallel: number;
  /** s, one a round. */
  readonly times: number[];
}

/** Reads the object in ranges, so many at a time, in order. @returns s */
async function readAll(store: ObjectStore, size: number, parallel: number): Promise<number> {
  const began = performance.now();
  let next = 0;
  const reader = async () => {
    while (next < OBJECT_BYTES) {
      const start = next;
      next = Math.min(OBJECT_BYTES, start + size);
      await store.getRange(KEY, start, next, {});
    }
  };
  await Promise.all(Array.from({ length: parallel }, reader));
  return (performance.now() - began) / 1000;
}

async function measure(gateway: Awaited<ReturnType<typeof startGateway>>): Promise<Cell[]> {
  const { endpoint, accessKeyId, secretAccessKey } = gateway;
  const connection = { region: 'us-east-1', credentials: { accessKeyId, secretAccessKey } };
  const client = createS3Client({ ...connection, endpoint });
  await client.send(new CreateBucketCommand({ Bucket: 'ranges' }));
  client.destroy();
  await s3Store({ ...connection, endpoint, bucket: 'ranges', prefix: '' }).put(
    KEY,
    randomBytes(OBJECT_BYTES),
    {},
  );
  const cells: Cell[] = [];
  for (const link of values.quick ? (['400'] as const) : LINKS) {
    const shape = link === 'loopback' ? {} : { mbitPerSecond: Number(link), delayMs: 10 };
    const proxy = await shapedLink(endpoint, shape);
    const store = s3Store({ ...connection, endpoint: proxy.endpoint, bucket: 'ranges', prefix: '' });
    const own = SIZES_KB.flatMap((sizeKb) =>
      PARALLEL.map((parallel): Cell => ({ link, sizeKb, parallel, times: [] })),
    );
    // Contestants take turns; the first turn opens the connections.
    for (let round = -1; round < (values.quick ? 1 : Number(values.rounds)); round++) {
      for (const { sizeKb, parallel, times } of round < 0 ? own.slice(-1) : own)
        times.push(await readAll(store, sizeKb * 1024, parallel));
    }
    own.at(-1)?.times.shift();
    cells.push(...own);
    await proxy.close();
  }
  return cells;
}

function page(cells: readonly Cell[]): string {
  const rows = cells.map(({ link, sizeKb, parallel, times }) => {
    const ours = cells.find(
      (cell) => cell.link === link && cell.sizeKb === OURS.sizeKb && cell.parallel === OURS.parallel,
    );
    const ratio = median(times) / median(ours?.times ?? []);
    const mine = sizeKb === OURS.sizeKb && parallel === OURS.parallel ? ' (ours)' : '';
    return `| ${[
      link === 'loopback' ? 'loopback' : `${link} Mbit/s`,
      `${sizeKb}${mine}`,
      parallel,
      median(times).toFixed(2),
      spread(times).toFixed(2),
      `**${ratio.toFixed(2)}**`,
    ].join(' | ')} |`;
  });
  return `# Ranged reads: size and number

Made by \`npm run bench -- range-reads\`. ${machine()}
Time to read an object of ${OBJECT_BYTES / 2 ** 20} MiB from a Ceph RADOS Gateway in ranges, over a TCP proxy with one token bucket and 10 ms of delay on the shaped
links; medians, distance between the quartiles over the median, and ratio to ${OURS.parallel} reads of ${OURS.sizeKb} KiB. Smaller ranges let the
smallest level start earlier and a damaged one be read again cheaply; what is read must not wait for what is checked.

| link | range, KiB | at a time | s | spread | to ours |
|---|---|---|---|---|---|
${rows.join('\n')}
`;
}

if (!(await cephInstalled()))
  throw new Error('No radosgw here: apt-get install radosgw ceph-mon ceph-osd ceph-common');
const gateway = await startGateway();
try {
  const table = page(await measure(gateway));
  console.log(table);
  if (values.out) await writeFile(join(values.out, 'range-reads.md'), table);
} finally {
  await gateway.stop();
}
