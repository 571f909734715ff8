/**
 * Cold starts: from the start of a `concertina serve` process to its first correct answer, and the bytes read by then.
 * `npm run bench -- coldstart [--quick] [--models Ti,B] [--links fs,loopback,400,50] [--rounds 3] [--samples file] [--json]
 * [--out folder]`. With `--samples` what has been measured is kept in a file, so that a run can be made in pieces.
 */
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { openEmbedder } from '../../src/host/index.ts';
import { openStore } from '../../src/storage/node.ts';
import { s3Store } from '../../src/storage/s3.ts';
import { createS3Client } from '../../src/storage/s3-client.ts';
import { readModel } from '../../src/vit/index.ts';
import { folderFiles } from '../../src/vit/node.ts';
import { cephInstalled, startGateway } from '../../test/s3/ceph.ts';
import { publishTiny } from '../../test/support/tiny-store.ts';
import { randomWeights, vitConfig } from '../common/networks.ts';
import { shapedLink } from '../common/shaped-link.ts';
import { elasticName, fixedName, LAST_LEVEL, type Network, publishNetwork } from './checkpoints.ts';
import { coldStart } from './sample.ts';
import { coldStartTables, type Sample } from './tables.ts';

const ROOT = join(import.meta.dirname, '../..');
const REAL = join(ROOT, '../shared/data/models/vit_tiny_patch16_224.augreg_in21k_ft_in1k');
const BUCKET = 'coldstart';
/** Round trip of the shaped links, ms. */
const DELAY_MS = 10;
/** Levels to which `best` gave corrected matrices. */
const CORRECTED = 5;
/** Least cosine between an answer and the same level in another process: what float32 leaves of it. */
const SAME = 1 - 1e-6;

const LINKS = ['fs', 'loopback', '400', '50'] as const;
const CONTESTANTS = ['progressive', 'whole file', 'fixed, fp16', 'warm cache'] as const;
type Contestant = (typeof CONTESTANTS)[number];

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    json: { type: 'boolean' },
    models: { type: 'string', default: 'Ti,B' },
    links: { type: 'string', default: LINKS.join() },
    rounds: { type: 'string', default: '3' },
    samples: { type: 'string' },
    out: { type: 'string' },
  },
});
const models = (values.quick ? 'Ti' : values.models).split(',');
const links = LINKS.filter((link) => (values.quick ? 'fs,50' : values.links).split(',').includes(link));
const rounds = values.quick ? 1 : Number(values.rounds);

async function network(size: string): Promise<Network> {
  const name = `vit-${size.toLowerCase()}`;
  if (size === 'Ti') {
    const real = await readModel(folderFiles(REAL)).catch(() => undefined);
    if (real) return { name, config: real.config, tensors: real.tensors, corrected: CORRECTED };
  }
  const config = vitConfig(size === 'B' ? 'B' : 'Ti');
  return { name, config, tensors: randomWeights(config), corrected: CORRECTED };
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'concertina-coldstart-'));
  const needsServer = links.some((link) => link !== 'fs');
  const gateway = needsServer && (await cephInstalled()) ? await startGateway() : undefined;
  if (needsServer && !gateway) process.stderr.write('No radosgw here: only the file system is measured.\n');
  try {
    const kept = await keptSamples();
    const samples = await measure(folder, gateway);
    const tables = coldStartTables([...kept, ...samples], { delayMs: DELAY_MS });
    if (values.out === undefined) process.stderr.write(`${tables}\n`);
    else await writeFile(join(values.out, 'coldstart.md'), tables);
  } finally {
    await gateway?.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** What earlier runs have measured. */
async function keptSamples(): Promise<Sample[]> {
  const text = values.samples === undefined ? '' : await readFile(values.samples, 'utf8').catch(() => '');
  const lines = text.split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Sample); // as written below
}

async function measure(
  folder: string,
  gateway: Awaited<ReturnType<typeof startGateway>> | undefined,
): Promise<Sample[]> {
  const image = new Uint8Array(await readFile(join(ROOT, 'assets/sample-images/fish-1.jpg')));
  const floor = join(folder, 'whole.json');
  const whole = { tiers: { open: { default: true, floor: { level: LAST_LEVEL } } } };
  await writeFile(floor, JSON.stringify(whole));
  const samples: Sample[] = [];
  for (const size of models) {
    const own = await network(size);
    const store = join(folder, own.name);
    const files = await openStore(store);
    await publishNetwork(files, own);
    const remote = gateway && (await copyTo(gateway, own));
    const references = await referenceAnswers(store, own.name, image);
    const baseline = await fileBaseline(folder, image);
    for (const link of links) {
      if (link !== 'fs' && !(gateway && remote)) continue;
      const shape =
        link === 'fs' || link === 'loopback' ? {} : { mbitPerSecond: Number(link), delayMs: DELAY_MS };
      const proxy = gateway && link !== 'fs' ? await shapedLink(gateway.endpoint, shape) : undefined;
      const cache = join(folder, `cache-${own.name}-${link}`);
      const start = async (contestant: Contestant) => {
        proxy?.reset();
        let bytes = Number.NaN;
        const started = await coldStart({
          store: proxy ? `s3://${BUCKET}/${own.name}` : store,
          model: contestant === 'fixed, fp16' ? fixedName(own.name) : elasticName(own.name),
          image,
          flags: flagsOf(contestant, { floor, cache }),
          environment: proxy
            ? {
                AWS_ENDPOINT_URL_S3: proxy.endpoint,
                AWS_ACCESS_KEY_ID: gateway?.accessKeyId ?? '',
                AWS_SECRET_ACCESS_KEY: gateway?.secretAccessKey ?? '',
                AWS_REGION: 'us-east-1',
              }
            : {},
          onFirst: () => {
            bytes = proxy?.bytes ?? Number.NaN;
          },
        });
        const { first, all, level, fileBytes, answer, later } = started;
        const reference = references(contestant === 'fixed, fp16' ? 'fixed' : level);
        return {
          model: own.config.architecture,
          link,
          contestant,
          first,
          all,
          level,
          bytes: proxy ? bytes : fileBytes - baseline,
          correct: cosine(answer, reference) >= SAME,
          same: Buffer.compare(Buffer.from(answer.buffer), Buffer.from(later.buffer)) === 0,
        };
      };
      // Of a machine that has served the model before.
      if (proxy) await start('warm cache');
      for (let round = 0; round < rounds; round++)
        for (const contestant of CONTESTANTS) {
          if (contestant === 'warm cache' && !proxy) continue;
          const sample = await start(contestant);
          samples.push(sample);
          if (values.samples !== undefined) await appendFile(values.samples, `${JSON.stringify(sample)}\n`);
          if (values.json) process.stdout.write(`${JSON.stringify(sample)}\n`);
          else process.stderr.write(`${own.name} ${link} ${contestant}: ${sample.first.toFixed(2)} s\n`);
        }
      await proxy?.close();
    }
  }
  return samples;
}

function flagsOf(contestant: Contestant, { floor, cache }: { floor: string; cache: string }): string[] {
  if (contestant === 'whole file') return ['--config', floor];
  if (contestant === 'warm cache') return ['--cache', cache];
  return [];
}

async function copyTo(gateway: Awaited<ReturnType<typeof startGateway>>, own: Network): Promise<true> {
  const { endpoint, accessKeyId, secretAccessKey } = gateway;
  const connection = { endpoint, region: 'us-east-1', credentials: { accessKeyId, secretAccessKey } };
  const client = createS3Client(connection);
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  client.destroy();
  await publishNetwork(s3Store({ ...connection, bucket: BUCKET, prefix: own.name }), own);
  return true;
}

/** What levels answer in another process: this one, L2-normalised. */
async function referenceAnswers(store: string, name: string, image: Uint8Array) {
  const answers = new Map<number | 'fixed', Float32Array>();
  for (const [model, levels] of [
    [elasticName(name), [0, LAST_LEVEL]],
    [fixedName(name), [0]],
  ] as const) {
    const embedder = await openEmbedder(await openStore(store), model);
    for (const level of levels) {
      const plan = embedder.plan({ level: { value: level, strict: false } });
      answers.set(model === fixedName(name) ? 'fixed' : level, await embedder.embed(image, plan));
    }
    await embedder.close();
  }
  return (level: number | 'fixed') => answers.get(level) ?? new Float32Array();
}

/** What the process reads of its own code and libraries: a start with a network of next to no bytes. */
async function fileBaseline(folder: string, image: Uint8Array<ArrayBuffer>): Promise<number> {
  const store = join(folder, 'tiny');
  await publishTiny(await openStore(store));
  return (await coldStart({ store, model: 'tiny', image })).fileBytes;
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, aa, bb] = [0, 0, 0];
  a.forEach((x, i) => {
    const y = b[i] ?? 0;
    dot += x * y;
    aa += x * x;
    bb += y * y;
  });
  return dot / Math.sqrt(aa * bb);
}

await main();
