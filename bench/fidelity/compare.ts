import { basename, join } from 'node:path';
import { z } from 'zod';
import { createAnalysis } from '../../src/engine/index.ts';
import { readLabelledImages } from '../../src/evaluation/index.ts';
import type { Reporter } from '../../src/progress/index.ts';
import { readCalibrationImages } from '../../src/pruning/data/calibration-images.ts';
import { jsonStep, storedSteps } from '../../src/pruning/steps/step-store.ts';
import { dimensionTensors, withDimensions } from '../../src/pruning/units/dimensions/dimension-network.ts';
import { openStore } from '../../src/storage/node.ts';
import { type ModelFiles, readModel } from '../../src/vit/index.ts';
import { sharpDecoder } from '../../src/vit/node.ts';
import type { Compared, Row } from './compared.ts';
import { type Contestant, contestants } from './contestants.ts';
import { createMeasure } from './measure.ts';
import { labelledSet } from './pictures.ts';
import { type Arena, isFinished, runContestant, stored } from './run.ts';
import { digestOf, prefixed, workFolder } from './work.ts';

export interface Comparison {
  readonly model: ModelFiles;
  /** Folder of unlabelled photographs. */
  readonly calibration: string;
  /** Folder with class folders under `train` and `test`. */
  readonly labelled: string;
  /** Finished steps are kept here. */
  readonly work: string;
  /** Calibration photographs to fit on and to hold back; labelled photographs of each class. */
  readonly fit: number;
  readonly held: number;
  /** Further photographs for recipes that are fitted on more. */
  readonly more: number;
  readonly gallery: number;
  readonly queries: number;
  /** Fitness evaluations of the published method, and the pictures of each. */
  readonly evaluations: number;
  readonly fitnessImages: number;
  /** Whether parts of `best` are taken away in turn. */
  readonly ablation: boolean;
  /** Names of the contestants that run, or beginnings of names with a * at the end. */
  readonly only: readonly string[];
  /** Only those that earlier runs have finished: for a page of what there is. */
  readonly finished?: boolean | undefined;
  readonly report: Reporter;
}

/** Runs the contestants on one model. */
export async function compare(comparison: Comparison): Promise<Compared> {
  const { report } = comparison;
  const source = await readModel(comparison.model);
  const { config } = source;
  const labelled = (limit: number) => readLabelledImages(comparison.labelled, limit);
  const gallery = await labelledSet((await labelled(comparison.gallery)).gallery, config);
  const queries = await labelledSet((await labelled(comparison.queries)).queries, config);
  const name = basename(comparison.model.name);
  const pictures = digestOf([gallery.digest, queries.digest]);
  const arenas = new Map<string, Arena>();
  /** Pictures to fit on, the same held back however many those are, and where what is made of them is kept. */
  async function calibration(wanted: number) {
    const read = { folder: comparison.calibration, config, decoder: sharpDecoder(), seed: 0, report };
    const images = await readCalibrationImages({ ...read, fit: wanted, held: comparison.held });
    const { digest, fit, held } = images;
    const inputs = { model: source.digests, calibration: { digest, fit: fit.count, held: held.count } };
    return {
      images,
      steps: storedSteps(
        await openStore(workFolder(join(comparison.work, name), inputs)),
        'steps',
        'fidelity',
      ),
    };
  }
  const usual = await calibration(comparison.fit);
  const more = await calibration(comparison.fit + comparison.more);
  /** The network whose units of attention are those of the recipe, and where its steps are kept. */
  async function network({ images, steps }: typeof usual, attention: Contestant['recipe']['attention']) {
    const given = { images, seed: 0, report, device: 'cpu' } as const;
    if (attention === 'heads') return { ...given, config, tensors: source.tensors, steps };
    const model = await createAnalysis({ device: 'cpu', config, tensors: source.tensors, workers: 1 });
    const tensors = await dimensionTensors({ ...given, config, tensors: source.tensors, model, steps });
    await model.dispose();
    return { ...given, config: withDimensions(config), tensors, steps: prefixed(steps, 'dimensions') };
  }
  /** Contestants whose tokens merge by the same rule, with the same units of attention and pictures, run on the same networks. */
  async function arenaOf({ recipe: { merging, attention }, morePictures }: Contestant): Promise<Arena> {
    const key = JSON.stringify([merging, attention, morePictures]);
    const made = arenas.get(key);
    if (made) return made;
    const given = await network(morePictures ? more : usual, attention);
    const { config: units, tensors: exact } = given;
    const own = merging ? { ...units, merging } : units;
    const tensors = stored(exact, 'fp16');
    const firstByte = stored(exact, 'first-byte');
    const networks = {
      fp16: await createAnalysis({ device: 'cpu', config: own, tensors, workers: 1 }),
      'first-byte': await createAnalysis({ device: 'cpu', config: own, tensors: firstByte, workers: 1 }),
    };
    const context = { ...given, config: own, tensors, model: networks.fp16 };
    const measure = createMeasure(networks.fp16, { gallery, queries, held: given.images.held });
    const arena = { context, measure, networks, pictures };
    arenas.set(key, arena);
    return arena;
  }
  try {
    const rows: Row[] = [];
    for (const contestant of contestants(comparison)) {
      if (contestant.ablation && !comparison.ablation) continue;
      if (!comparison.only.some((name) => isNamed(contestant, name))) continue;
      const arena = await arenaOf(contestant);
      if (comparison.finished && !(await isFinished(arena, contestant))) continue;
      rows.push({ contestant, measured: await runContestant(arena, contestant) });
    }
    const counts = {
      fit: usual.images.fit.count,
      more: more.images.fit.count,
      held: usual.images.held.count,
      gallery: gallery.images.count,
      queries: queries.images.count,
    };
    const [arena] = arenas.values();
    if (!arena) throw new RangeError(`there is no contestant named ${comparison.only.join(' or ')}`);
    const knn = await jsonStep(usual.steps, `full-${pictures}`, z.number().parse, arena.measure.knn);
    return { name, counts, knn, rows };
  } finally {
    const networks = [...arenas.values()].flatMap((arena) => Object.values(arena.networks));
    await Promise.all(networks.map((network) => network.dispose()));
  }
}

function isNamed({ name }: Contestant, wanted: string): boolean {
  return wanted.endsWith('*') ? name.startsWith(wanted.slice(0, -1)) : name === wanted;
}
