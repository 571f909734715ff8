/**
 * Whether batches pay on a CPU: eight images one by one, in twos, in fours and at once, on one worker of one thread.
 * `npm run bench -- batching [--quick] [--json] [--out folder]`
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createModel } from '../../src/engine/index.ts';
import type { VitConfig } from '../../src/vit/index.ts';
import { benchLadder, increments } from '../common/ladder.ts';
import { machine } from '../common/machine.ts';
import { randomPixels, randomWeights, vitConfig } from '../common/networks.ts';
import { type Contestant, id, type Measurement, race, timed } from '../common/race.ts';

const IMAGES = 8;
const BATCHES = [1, 2, 4, 8] as const;

const { values } = parseArgs({
  options: { quick: { type: 'boolean' }, json: { type: 'boolean' }, out: { type: 'string' } },
});
const rounds = values.quick ? { seconds: 5, least: 3, most: 10 } : { seconds: 40, least: 5, most: 60 };

/** The shape of the sample model: so small that what a run costs at all should show. */
const SAMPLE: VitConfig = {
  ...vitConfig('Ti'),
  architecture: 'sample (65 tokens)',
  imageSize: 64,
  patchSize: 8,
  depth: 8,
};

async function measure(config: VitConfig): Promise<Measurement[]> {
  const ladder = benchLadder(config, [0.5], []);
  const variants = ladder.map(({ variant }) => variant);
  const model = await createModel({ config, variants, device: 'cpu', workers: 1, threads: 1 });
  try {
    for (const increment of increments(config, randomWeights(config), variants))
      await model.install(increment);
    const contestants = ladder.flatMap(({ name }, level) =>
      BATCHES.map((batch): Contestant => {
        const pixels = randomPixels(config, batch);
        const peers = [id({ contestant: 'in 1s', level: name, precision: 'fp32' })];
        const run = async () => {
          for (let done = 0; done < IMAGES; done += batch)
            await model.embed(pixels, batch, { level, precision: 'fp32' });
        };
        return { contestant: `in ${batch}s`, level: name, precision: 'fp32', peers, run: () => timed(run) };
      }),
    );
    return await race({ model: config.architecture, batch: IMAGES, threads: 1 }, contestants, rounds);
  } finally {
    await model.dispose();
  }
}

const results: Measurement[] = [];
for (const config of [SAMPLE, vitConfig('Ti'), vitConfig('S')]) results.push(...(await measure(config)));

const lines = results.map(
  ({ model, level, contestant, median_ms, ratio, spread }) =>
    `| ${model} | ${level} | ${contestant} | ${(median_ms / IMAGES).toFixed(2)} | **${ratio.toFixed(3)}** | ${spread.toFixed(2)} |`,
);
for (const [i, line] of lines.entries())
  process.stdout.write(`${values.json ? JSON.stringify(results[i]) : line}\n`);
if (values.out !== undefined) {
  await mkdir(values.out, { recursive: true });
  await writeFile(
    join(values.out, 'batching.md'),
    `# Batches on a CPU

Made by \`npm run bench -- batching\`. ${machine()}
${IMAGES} images on one worker of one thread, random weights, one by one and in batches that take turns; the ratio is to one by one, the
median over the rounds, with the distance between its quartiles. Below 1 a batch would pay; every image of it waits for all of it.

| network | level | | ms an image | ratio | spread |
|---|---|---|---|---|---|
${lines.join('\n')}
`,
  );
}
