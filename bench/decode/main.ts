/**
 * Decoding: JPEGs at a reduced scale against all of their pixels, time and difference.
 * `npm run bench -- decode [--quick] [--json] [--out folder]`
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { createAnalysis } from '../../src/engine/index.ts';
import { readModel, type VitConfig } from '../../src/vit/index.ts';
import { folderFiles, sharpDecoder } from '../../src/vit/node.ts';
import { machine } from '../common/machine.ts';
import { vitConfig } from '../common/networks.ts';
import { type Measurement, race, timed } from '../common/race.ts';

const ROOT = join(import.meta.dirname, '../..');
const SHARED = join(ROOT, '../shared/data');
const MODEL = join(SHARED, 'models/vit_tiny_patch16_224.augreg_in21k_ft_in1k');
const [PHOTOGRAPHS, SAMPLES] = [join(SHARED, 'images/calibration'), join(ROOT, 'assets/sample-images')];
const ACCURACIES = ['exact', 'fast'] as const;

/** Photographs beside each other in one JPEG, each at its own resolution: detail as a camera's picture has it. */
async function mosaic(files: readonly string[], columns: number, rows: number): Promise<Buffer> {
  const side = 250;
  const tiles = await Promise.all(
    Array.from({ length: columns * rows }, async (_, i) => ({
      input: await sharp(files[i % files.length])
        .resize(side, side, { fit: 'cover' })
        .png()
        .toBuffer(),
      left: (i % columns) * side,
      top: Math.floor(i / columns) * side,
    })),
  );
  const canvas = { width: columns * side, height: rows * side, channels: 3 as const, background: '#000' };
  return await sharp({ create: canvas }).composite(tiles).jpeg({ quality: 90 }).toBuffer();
}

async function time(name: string, image: Uint8Array, config: VitConfig, seconds: number) {
  const contestants = ACCURACIES.map((accuracy) => {
    const decoder = sharpDecoder({ accuracy });
    const run = () => timed(() => decoder.decode(image, config));
    return { contestant: accuracy, level: 'decode', precision: 'uint8', peers: ['exact uint8, decode'], run };
  });
  return await race({ model: name, batch: 1, threads: 1 }, contestants, { seconds, least: 5, most: 200 });
}

interface Difference {
  readonly size: string;
  readonly images: number;
  /** Levels of 255. */
  readonly mean: number;
  readonly max: number;
  /** Of the embedding at reduced scale to the one of all pixels. */
  readonly cosine: { readonly mean: number; readonly least: number };
}

async function differences(files: readonly string[], images: number): Promise<Difference[]> {
  const { config, tensors } = await readModel(folderFiles(MODEL));
  const model = await createAnalysis({ device: 'cpu', config, tensors, workers: 1 });
  const found: Difference[] = [];
  for (const [columns, rows] of [
    [3, 2],
    [4, 4],
    [8, 6],
    [16, 12],
  ] as const) {
    const [sums, cosines] = [{ mean: 0, max: 0 }, [] as number[]];
    for (let image = 0; image < images; image++) {
      const first = (image * columns * rows) % files.length;
      const jpeg = await mosaic([...files.slice(first), ...files.slice(0, first)], columns, rows);
      const decoded = ACCURACIES.map((accuracy) => sharpDecoder({ accuracy }).decode(jpeg, config));
      const [exact = new Float32Array(), fast = new Float32Array()] = await Promise.all(decoded);
      const levels = exact.map((value, i) => 127.5 * Math.abs(value - (fast[i] ?? 0)));
      sums.mean += levels.reduce((sum, value) => sum + value, 0) / levels.length / images;
      sums.max = levels.reduce((a, b) => Math.max(a, b), sums.max);
      cosines.push(cosine(await model.embed(exact, 1), await model.embed(fast, 1)));
    }
    const mean = cosines.reduce((sum, value) => sum + value, 0) / images;
    const size = `${250 * columns} x ${250 * rows}`;
    found.push({ size, images, ...sums, cosine: { mean, least: Math.min(...cosines) } });
  }
  await model.dispose();
  return found;
}

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) =>
    x.reduce((sum, value, i) => sum + value * (y[i] ?? Number.NaN), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

const { values } = parseArgs({
  options: { quick: { type: 'boolean' }, json: { type: 'boolean' }, out: { type: 'string' } },
});
sharp.concurrency(1);
const folder = existsSync(PHOTOGRAPHS) ? PHOTOGRAPHS : SAMPLES;
const files = (await readdir(folder)).filter((name) => /\.jpe?g$/i.test(name)).sort();
const paths = files.map((name) => join(folder, name));
const small = await sharp(await readFile(paths[0] ?? ''))
  .resize(500, 375, { fit: 'cover' })
  .jpeg({ quality: 90 })
  .toBuffer();
const pictures = [
  ['JPEG 500 x 375', small],
  ['JPEG 4000 x 3000', await mosaic(paths, 16, 12)],
] as const;
const measurements: Measurement[] = [];
for (const [name, image] of pictures)
  measurements.push(...(await time(name, image, vitConfig('Ti'), values.quick ? 1 : 15)));
const tolerances =
  existsSync(MODEL) && folder === PHOTOGRAPHS ? await differences(paths, values.quick ? 1 : 12) : [];

const lines = measurements.map((m) => {
  const numbers = [m.median_ms.toFixed(2), `**${m.ratio.toFixed(3)}**`, m.spread.toFixed(2)];
  return `| ${m.model} | ${m.contestant} | ${numbers.join(' | ')} |`;
});
const rows = tolerances.map((t) => {
  const numbers = [t.images, t.mean.toFixed(2), t.max.toFixed(0)];
  return `| ${[t.size, ...numbers, t.cosine.mean.toFixed(5), t.cosine.least.toFixed(5)].join(' | ')} |`;
});
const text = `# Decoding

Made by \`npm run bench -- decode\`. ${machine()}
From the JPEG's bytes to the normalised input of 224 x 224 (short side to 248, centre cut). \`exact\` resizes all pixels as Pillow
does; \`fast\`, which serving uses, decodes large JPEGs at a reduced scale. They take turns; ratios to \`exact\` in the same round.

| picture | accuracy | median, ms | ratio | spread |
|---|---|---|---|---|
${lines.join('\n')}

What \`fast\` changes, on mosaics of real photographs, each tile at its own resolution, and in the embedding of AugReg ViT-Ti:

| picture | pictures | mean difference, of 255 | largest | cosine, mean | cosine, least |
|---|---|---|---|---|---|
${rows.join('\n')}
`;
if (values.json) for (const line of measurements) process.stdout.write(`${JSON.stringify(line)}\n`);
else process.stdout.write(text);
if (values.out !== undefined) {
  await mkdir(values.out, { recursive: true });
  await writeFile(join(values.out, 'decode.md'), text);
}
