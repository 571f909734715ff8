import { z } from 'zod';
import { Problem } from '../../problem/index.ts';
import type { VitConfig } from '../config.ts';
import { CLIP, HALF, IMAGENET, parseFields, triple } from './hints.ts';

const edges = z.union([
  z.number().positive(),
  z.looseObject({
    height: z.number().positive().optional(),
    width: z.number().positive().optional(),
    shortest_edge: z.number().positive().optional(),
  }),
]);

/** `preprocessor_config.json` of transformers, of this and earlier generations. */
const ProcessorSchema = z.looseObject({
  image_processor_type: z.string().optional(),
  feature_extractor_type: z.string().optional(),
  do_resize: z.boolean().nullish(),
  size: edges.nullish(),
  do_center_crop: z.boolean().nullish(),
  crop_size: edges.nullish(),
  resample: z.number().nullish(),
  do_rescale: z.boolean().nullish(),
  rescale_factor: z.number().nullish(),
  do_normalize: z.boolean().nullish(),
  image_mean: triple.nullish(),
  image_std: triple.nullish(),
});
type Processor = z.infer<typeof ProcessorSchema>;
type Interpolation = VitConfig['preprocessing']['interpolation'];

/** Pillow's resampling filters, as transformers numbers them. */
const RESAMPLE: Readonly<Record<number, Interpolation>> = { 1: 'lanczos', 2: 'bilinear', 3: 'bicubic' };
const BILINEAR = 2;
const BICUBIC = 3;

/** What the published checkpoints of a family use, for files that do not say. */
const squashed = { size: { height: 224, width: 224 } };
const cropped = { size: { shortest_edge: 224 }, do_center_crop: true, crop_size: 224 };
const PUBLISHED: Readonly<Record<string, Processor>> = {
  vit: { ...squashed, resample: BILINEAR, ...named(HALF) },
  deit: {
    size: { height: 256, width: 256 },
    do_center_crop: true,
    crop_size: 224,
    resample: BICUBIC,
    ...named(IMAGENET),
  },
  dinov2: { ...cropped, size: { shortest_edge: 256 }, resample: BICUBIC, ...named(IMAGENET) },
  dinov3: { ...squashed, resample: BILINEAR, ...named(IMAGENET) },
  siglip: { ...squashed, resample: BICUBIC, ...named(HALF) },
  clip: { ...cropped, resample: BICUBIC, ...named(CLIP) },
};

function named({ mean, std }: typeof HALF): Pick<Processor, 'image_mean' | 'image_std'> {
  return { image_mean: mean, image_std: std };
}

/**
 * How a transformers checkpoint wants its images.
 * @param json the content of `preprocessor_config.json`; without one, what the family's published checkpoints use
 * @returns the side of the network's input where a file says so, and the preprocessing
 * @throws Problem('invalid-config')
 */
export function readProcessor(
  json: unknown,
  modelType: string,
): { imageSize: number | undefined; preprocessing: VitConfig['preprocessing'] } {
  const family = Object.keys(PUBLISHED).find((name) => modelType.startsWith(name)) ?? 'vit';
  const published: Processor = PUBLISHED[family] ?? {};
  const own = json === undefined ? undefined : parseFields('preprocessor_config.json', ProcessorSchema, json);
  const processor = own ?? published;
  checkScale(processor);
  // Early files give one number: the short edge for CLIP's and BiT's processors, both edges for the others.
  const type = processor.image_processor_type ?? processor.feature_extractor_type ?? family;
  const short = /clip|bit|dinov2/i.test(type) && !/siglip/i.test(type);
  const crops = processor.do_center_crop ?? false;
  const resized = edge(processor.size, 'size', short);
  const cut = crops ? edge(processor.crop_size, 'crop_size', false) : undefined;
  const input = cut?.length ?? resized?.length;
  const normalises = processor.do_normalize ?? true;
  return {
    imageSize: own ? input : undefined,
    preprocessing: {
      cropPct: cut && resized && resized.length > cut.length ? cut.length / resized.length : 1,
      interpolation: resampling(processor.resample ?? published.resample ?? BICUBIC),
      cropMode: resized?.short ? 'center' : 'squash',
      mean: (normalises ? (processor.image_mean ?? published.image_mean) : undefined) ?? [0, 0, 0],
      std: (normalises ? (processor.image_std ?? published.image_std) : undefined) ?? [1, 1, 1],
    },
  };
}

/** Pixels are scaled to [0, 1] before they are normalised; nothing else can be described. */
function checkScale({ do_rescale: rescales, rescale_factor: factor }: Processor): void {
  if (rescales === false || (factor && Math.abs(factor * 255 - 1) > 1e-3)) {
    throw new Problem(
      'invalid-config',
      `preprocessor_config.json scales pixels by ${rescales === false ? 1 : factor}; only 1/255 can be done.`,
    );
  }
}

function resampling(filter: number): Interpolation {
  const name = RESAMPLE[filter];
  if (name) return name;
  throw new Problem(
    'invalid-config',
    `preprocessor_config.json: the resampling filter ${filter} cannot be done; 1 (lanczos), 2 (bilinear) and 3 (bicubic) can.`,
  );
}

function edge(
  size: Processor['size'],
  name: string,
  numberIsShortEdge: boolean,
): { length: number; short: boolean } | undefined {
  if (size === undefined || size === null) return undefined;
  if (typeof size === 'number') return { length: size, short: numberIsShortEdge };
  if (size.shortest_edge !== undefined) return { length: size.shortest_edge, short: true };
  if (size.height !== undefined && size.height === (size.width ?? size.height))
    return { length: size.height, short: false };
  throw new Problem(
    'invalid-config',
    `preprocessor_config.json: ${name} is ${JSON.stringify(size)}; a square ("height" equal to "width") or "shortest_edge" can be done.`,
  );
}
