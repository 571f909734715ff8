import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { createOnnxAnalysis } from '../src/engine/index.ts';
import { type LabelledImage, readLabelledImages } from '../src/evaluation/index.ts';
import { lineReporter } from '../src/progress/index.ts';
import { asStored } from '../src/pruning/as-stored.ts';
import { readCalibrationImages } from '../src/pruning/calibration-images.ts';
import type { ImageSet, PruningContext, StepStore } from '../src/pruning/contracts.ts';
import { correctionOf, criterionOf, pathOf } from '../src/pruning/parts.ts';
import { rank } from '../src/pruning/ranking.ts';
import { scoresFromJson, scoresToJson } from '../src/pruning/scores-json.ts';
import { folderSteps, jsonStep } from '../src/pruning/step-store.ts';
import { readModel, type VitConfig } from '../src/vit/index.ts';
import { decodePicture, folderFiles, sharpDecoder } from '../src/vit/node.ts';
import { type Contestant, contestants } from './fidelity-contestants.ts';
import { createMeasure, labelled, type Measured } from './fidelity-measure.ts';
import { jointTable, unitTable } from './fidelity-tables.ts';
import { machine } from './machine.ts';

/**
 * Compares pruning methods by fidelity, k-NN and cross-budget retrieval on pictures that they were not fitted on.
 *
 *   node bench/fidelity.ts --model FOLDER [--model FOLDER] --calibration FOLDER --labelled FOLDER --work FOLDER
 *     [--fit 192] [--held 96] [--gallery 40] [--queries 20] [--only NAME] [--out FILE.md]
 *
 * `--labelled` has class folders under `train` and `test`; `--gallery` and `--queries` count pictures of each class. Every
 * finished step is kept in `--work`: a run that was stopped goes on where it was.
 */
const { values } = parseArgs({
  options: {
    model: { type: 'string', multiple: true },
    calibration: { type: 'string' },
    labelled: { type: 'string' },
    work: { type: 'string' },
    fit: { type: 'string', default: '192' },
    held: { type: 'string', default: '96' },
    gallery: { type: 'string', default: '40' },
    queries: { type: 'string', default: '20' },
    evaluations: { type: 'string', default: '50' },
    'fitness-images': { type: 'string', default: '48' },
    only: { type: 'string' },
    out: { type: 'string' },
  },
});
const settings = z
  .object({
    model: z.array(z.string()),
    calibration: z.string(),
    labelled: z.string(),
    work: z.string(),
    fit: z.coerce.number().int().positive(),
    held: z.coerce.number().int().positive(),
    gallery: z.coerce.number().int().positive(),
    queries: z.coerce.number().int().positive(),
    evaluations: z.coerce.number().int().positive(),
    'fitness-images': z.coerce.number().int().positive(),
    only: z.string().optional(),
    out: z.string().optional(),
  })
  .parse(values);

const report = lineReporter({
  write: (text) => void process.stderr.write(text),
  now: () => performance.now(),
});
const MeasuredSchema = z.array(
  z.object({
    share: z.number(),
    flops: z.number(),
    queries: z.number(),
    held: z.number(),
    knn: z.number().optional(),
    recall10: z.number().optional(),
  }),
);

/** Steps of one kind under a name of their own. */
function prefixed(steps: StepStore, prefix: string): StepStore {
  return {
    load: (step) => steps.load(`${prefix}-${step}`),
    save: (step, result) => steps.save(`${prefix}-${step}`, result),
  };
}

function pictureSet(list: readonly LabelledImage[], config: VitConfig): ImageSet {
  const decoder = sharpDecoder();
  const size = 3 * config.imageSize ** 2;
  const fileOf = (index: number) => readFile(list[index]?.file ?? '');
  const cache = new Map<number, Float32Array>();
  return {
    count: list.length,
    async pixels(indices) {
      const joined = new Float32Array(indices.length * size);
      for (const [at, index] of indices.entries()) {
        const pixels = cache.get(index) ?? (await decoder.decode(await fileOf(index), config));
        cache.set(index, pixels);
        joined.set(pixels, at * size);
      }
      return joined;
    },
    picture: async (index) => decodePicture(await fileOf(index)),
  };
}

async function measureContestant(
  context: PruningContext,
  contestant: Contestant,
  measure: Awaited<ReturnType<typeof createMeasure>>,
): Promise<Measured[]> {
  const { name, recipe, shares, retrieval } = contestant;
  const steps = context.steps;
  return jsonStep(prefixed(steps, name), 'measured', MeasuredSchema.parse, async () => {
    report.note(name);
    const criterionKey = `criterion ${JSON.stringify(recipe.criterion)}`.replaceAll(/[^a-z0-9.]+/gi, '_');
    const own = { ...context, steps: prefixed(steps, criterionKey.slice(0, 40) + hash(criterionKey)) };
    const scores = await jsonStep(
      own.steps,
      'scores',
      scoresFromJson,
      () => criterionOf(recipe).score(own),
      scoresToJson,
    );
    const ranking = rank(context.config, scores, recipe.protection);
    const { units } = ranking;
    const contestantContext = { ...context, steps: prefixed(steps, name) };
    const variants = await pathOf(recipe).plan(contestantContext, ranking, [...shares].sort());
    const correction = correctionOf(recipe);
    const measured: Measured[] = [];
    for (const [index, variant] of variants.entries()) {
      const share = [...shares].sort()[index] ?? Number.NaN;
      const level = await jsonStep(
        contestantContext.steps,
        `level-${share}`,
        (json) => MeasuredSchema.parse([json]),
        async () => {
          const replaced = correction && (await correction.correct(context, variant, units));
          const network = { variant, units, ...(replaced && { replaced: asStored(replaced, 'fp16') }) };
          return [await measure.level(share, network, retrieval)];
        },
        ([first]) => first,
      );
      measured.push(...level);
      report.note(JSON.stringify(level[0]));
    }
    return measured.reverse();
  });
}

function hash(text: string): string {
  let value = 0;
  for (const char of text) value = (Math.imul(value, 31) + (char.codePointAt(0) ?? 0)) >>> 0;
  return value.toString(16);
}

async function measureModel(folder: string): Promise<string> {
  const source = await readModel(folderFiles(folder));
  const { config } = source;
  const tensors = asStored(source.tensors, 'fp16');
  const model = await createOnnxAnalysis({ config, tensors });
  try {
    const images = await readCalibrationImages({
      folder: settings.calibration,
      config,
      decoder: sharpDecoder(),
      fit: settings.fit,
      held: settings.held,
      seed: 0,
      report,
    });
    const steps = folderSteps(join(settings.work, basename(folder)));
    const context: PruningContext = { config, tensors, model, images, seed: 0, report, steps };
    const [gallery, queries] = await Promise.all(
      [settings.gallery, settings.queries].map((limit) => readLabelledImages(settings.labelled, limit)),
    );
    const galleryList = gallery?.gallery ?? [];
    const queryList = queries?.queries ?? [];
    const measure = await createMeasure(context, {
      gallery: labelled(pictureSet(galleryList, config), galleryList),
      queries: labelled(pictureSet(queryList, config), queryList),
      held: images.held,
    });
    const scale = {
      fit: settings.fit,
      evaluations: settings.evaluations,
      fitnessImages: settings['fitness-images'],
    };
    const rows: { contestant: Contestant; measured: Measured[] }[] = [];
    for (const contestant of contestants(scale)) {
      if (settings.only && !contestant.name.startsWith(settings.only)) continue;
      rows.push({ contestant, measured: await measureContestant(context, contestant, measure) });
    }
    const counts =
      `${images.fit.count} calibration photographs to fit on, ${images.held.count} held back; of the labelled ` +
      `photographs ${galleryList.length} as the gallery and ${queryList.length} as queries. Full network: k-NN ${measure.full.knn.toFixed(3)}.`;
    return [`## ${basename(folder)}`, counts, ...unitTable(rows), ...jointTable(rows)].join('\n\n');
  } finally {
    await model.dispose();
  }
}

const parts: string[] = [];
for (const folder of settings.model) parts.push(await measureModel(folder));
const text = `${[machine(), ...parts].join('\n\n')}\n`;
process.stdout.write(text);
if (settings.out) await writeFile(settings.out, text);
