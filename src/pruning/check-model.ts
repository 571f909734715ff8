import type { AnalysisModel } from '../engine/index.ts';
import { Problem } from '../problem/index.ts';
import {
  type ModelFiles,
  readExpected,
  readModel,
  type SourceModel,
  type TensorMap,
  type VitConfig,
} from '../vit/index.ts';

/** Relative distance to what the network's own library computed; half-precision references stay below it. */
const TOLERANCE = 1e-3;

/**
 * Compares the network with the embeddings that its folder brings (`expected.json`, `pixels.f32`), before hours are spent on it.
 * @returns a sentence for people; `undefined` where the folder brings none
 * @throws Problem('unsupported-model') where the embeddings differ
 */
export async function compareWithExpected(
  files: ModelFiles,
  source: SourceModel,
  open: (network: { config: VitConfig; tensors: TensorMap }) => Promise<AnalysisModel>,
): Promise<string | undefined> {
  const expected = await readExpected(files);
  if (!expected) return undefined;
  const { size, images, pixels, embeddings } = expected;
  const { config, tensors } =
    size === source.config.imageSize ? source : await readModel(files, { imageSize: size });
  const model = await open({ config, tensors });
  try {
    const found = await model.embed(pixels, images);
    const distance = relativeDistance(found, embeddings);
    if (distance <= TOLERANCE) {
      return `Embeddings are those of expected.json (relative distance ${distance.toExponential(1)}).`;
    }
    throw new Problem(
      'unsupported-model',
      `${files.name}: embeddings are not those of expected.json: ${found.length === embeddings.length ? `the relative distance is ${distance.toPrecision(2)}, at most ${TOLERANCE} is rounding` : `they have ${found.length / images} numbers in place of ${embeddings.length / images}`}. The network computes something else than config.json says here, or the two files belong to other weights.`,
      { distance },
    );
  } finally {
    await model.dispose();
  }
}

function relativeDistance(found: Float32Array, expected: Float32Array): number {
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY;
  let [difference, length] = [0, 0];
  for (let i = 0; i < found.length; i++) {
    difference += ((found[i] ?? 0) - (expected[i] ?? 0)) ** 2;
    length += (expected[i] ?? 0) ** 2;
  }
  return Math.sqrt(difference / length);
}
