import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { lineReporter } from '../../src/progress/index.ts';
import { folderFiles } from '../../src/vit/node.ts';
import { machine } from '../common/machine.ts';
import { compare } from './compare.ts';
import type { Compared } from './compared.ts';
import { document, plot, plotName } from './tables.ts';

/**
 * Compares pruning methods by fidelity, k-NN and cross-budget retrieval on pictures that they were not fitted on.
 *
 *   npm run bench -- fidelity [--model FOLDER]… [--calibration FOLDER] [--labelled FOLDER] [--work FOLDER] [--fit 256] [--held 64] [--more 176]
 *     [--gallery 120] [--queries 75] [--evaluations 50] [--fitness-images 16] [--ablated 2] [--only NAME]… [--finished] [--quick]
 *     [--json] [--out FOLDER]
 *
 * `--labelled` has class folders under `train` and `test`; `--gallery` and `--queries` count pictures of each class.
 * `--only` takes contestants' names, or beginnings of them with a * at the end; the first `--ablated` models get the ablation. Every finished step is kept
 * in `--work`: a run that was stopped goes on where it was, and `--finished` makes the page of what it has.
 */
const { values } = parseArgs({
  options: {
    model: { type: 'string', multiple: true },
    calibration: { type: 'string' },
    labelled: { type: 'string' },
    work: { type: 'string' },
    fit: { type: 'string' },
    held: { type: 'string' },
    more: { type: 'string' },
    gallery: { type: 'string' },
    queries: { type: 'string' },
    evaluations: { type: 'string' },
    'fitness-images': { type: 'string' },
    ablated: { type: 'string' },
    only: { type: 'string', multiple: true },
    finished: { type: 'boolean' },
    quick: { type: 'boolean' },
    json: { type: 'boolean' },
    out: { type: 'string' },
  },
});
const { quick } = values;
const data = join(import.meta.dirname, '../../../shared/data');
const number = (whole: number, few = whole) =>
  z.coerce
    .number()
    .int()
    .nonnegative()
    .default(quick ? few : whole);
const models = ['vit_tiny_patch16_224.augreg_in21k_ft_in1k', 'deit_tiny_patch16_224.fb_in1k'];
const settings = z
  .object({
    model: z.array(z.string()).default(models.map((name) => join(data, 'models', name))),
    calibration: z.string().default(join(data, 'images/calibration')),
    labelled: z.string().default(join(data, 'images/clothing')),
    work: z.string().default(join(import.meta.dirname, '../../.cache/fidelity')),
    fit: number(256, 16),
    held: number(64, 16),
    more: number(176, 0),
    gallery: number(120, 6),
    queries: number(75, 3),
    evaluations: number(50, 2),
    'fitness-images': number(16, 8),
    ablated: number(2, 0),
    finished: z.boolean().default(false),
    only: z.array(z.string()).default(quick ? ['random', 'best, units only'] : ['*']),
  })
  .parse(values);

const report = lineReporter({
  write: (text) => void process.stderr.write(text),
  now: () => performance.now(),
});
const where = machine();
const compared: Compared[] = [];
for (const [index, folder] of settings.model.entries()) {
  const found = await compare({
    ...settings,
    model: folderFiles(folder),
    fitnessImages: settings['fitness-images'],
    ablation: index < settings.ablated,
    report,
  });
  compared.push(found);
  if (!values.json) continue;
  for (const { contestant, measured } of found.rows)
    for (const level of measured)
      process.stdout.write(
        `${JSON.stringify({ model: found.name, contestant: contestant.name, ...level })}\n`,
      );
}
const notes = await readFile(join(import.meta.dirname, 'notes.md'), 'utf8').catch(() => '');
const text = document(compared, where, notes);
if (!values.json) process.stdout.write(text);
if (values.out !== undefined) {
  await mkdir(values.out, { recursive: true });
  await writeFile(join(values.out, 'fidelity.md'), text);
  for (const model of compared) await writeFile(join(values.out, plotName(model)), plot(model));
}
