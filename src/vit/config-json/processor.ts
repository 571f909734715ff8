import { z } from 'zod';
import { Problem } from '../../problem/index.ts';
import type { VitConfig } from '../config.ts';
import { bounds, CLIP, HALF, IMAGENET, parseFields, triple } from './hints.ts';

const edges = z.union([
  bounds.imageSize,
  z.looseObject({
    height: bounds.imageSize.optional(),
    width: bounds.imageSize.optional(),
    shortest_edge: bounds.imageSize.optional(),
  }),
]);

/** `preprocessor_config.json` of transformers, of this and earlier generations. */
const ProcessorSchema = z.looseObject({
  image_processor_type: z.string().nullish(),
  feature_extractor_type: z.string().nullish(),
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

/** Where pictures go, how they are handed over, and which class did it: without influence on the pixels of an RGB picture. */
const WITHOUT_INFLUENCE: ReadonlySet<string> = new Set([
  ...['processor_class', 'do_convert_rgb', 'default_to_square', 'data_format', 'input_data_format'],
  ...[
    'return_tensors',
    'device',
    'disable_grouping',
    'do_reduce_labels',
    'auto_map',
    'crop_pct',
    '_valid_processor_keys',
  ],
]);
/** Steps that are not done here; their fields may be there as long as they ask for nothing. */
const NOTHING: readonly unknown[] = [false, null];

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
  // Longer names first: the first that a model_type begins with counts.
  vit_msn: { ...squashed, resample: BILINEAR, ...named(IMAGENET) },
  vit_mae: { ...squashed, resample: BILINEAR, ...named(IMAGENET) },
  ijepa: { ...squashed, resample: BILINEAR, ...named(IMAGENET) },
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
  metaclip_2: { ...cropped, resample: BICUBIC, ...named(CLIP) },
};

function named({ mean, std }: typeof HALF): Pick<Processor, 'image_mean' | 'image_std'> {
  return { image_mean: mean, image_std: std };
}

/** What a file beside the weights says about pictures, and the file's name. */
export interface ProcessorFile {
  readonly file: string;
  readonly content: unknown;
}

export interface ReadProcessor {
  /** The side of the network's input, where a file says so. */
  readonly imageSize: number | undefined;
  readonly preprocessing: VitConfig['preprocessing'];
  /** What the file is silent about. */
  readonly assumed: readonly string[];
}

/**
 * How a transformers checkpoint wants its images.
 * @param given `preprocessor_config.json`, or the `image_processor` of `processor_config.json`; without one, what the family's
 *   published checkpoints use
 * @throws Problem('invalid-config') for what cannot be read, ('unsupported-model') for what is asked for and not done here
 */
export function readProcessor(given: ProcessorFile | undefined, modelType: string): ReadProcessor {
  const family = Object.keys(PUBLISHED).find((name) => modelType.startsWith(name)) ?? 'vit';
  const published: Processor = PUBLISHED[family] ?? {};
  if (!given) {
    const { preprocessing } = geometry('', published, family);
    const { mean, std, interpolation, cropMode } = preprocessing;
    const words = `mean ${mean.join('/')}, std ${std.join('/')}, ${interpolation}, ${cropMode}`;
    const assumed = [
      `preprocessing = ${words}: there is no preprocessor_config.json, so that of published "${family}" networks`,
    ];
    return { imageSize: undefined, preprocessing, assumed };
  }
  const { file, content } = given;
  const own = parseFields(file, ProcessorSchema, content);
  refuseUnknown(file, own);
  checkScale(file, own);
  const assumed: string[] = [];
  const otherwise = <T>(name: string, value: T | null | undefined, standard: T): T => {
    if (value !== undefined && value !== null) return value;
    assumed.push(
      `${name} = ${JSON.stringify(standard)}, not in ${file}: that of published "${family}" networks`,
    );
    return standard;
  };
  const normalises = own.do_normalize ?? true;
  const filled: Processor = {
    ...own,
    resample: otherwise('resample', own.resample, published.resample ?? BICUBIC),
    image_mean: normalises
      ? otherwise('image_mean', own.image_mean, published.image_mean ?? IMAGENET.mean)
      : [0, 0, 0],
    image_std: normalises
      ? otherwise('image_std', own.image_std, published.image_std ?? IMAGENET.std)
      : [1, 1, 1],
  };
  return { ...geometry(file, filled, family), assumed };
}

/** @throws Problem('unsupported-model') naming a field that is not known, or asks for a step that is not done here */
function refuseUnknown(file: string, own: Processor): void {
  for (const [name, value] of Object.entries(own)) {
    if (name in ProcessorSchema.shape || WITHOUT_INFLUENCE.has(name) || NOTHING.includes(value)) continue;
    throw new Problem(
      'unsupported-model',
      `${file} has ${name} = ${JSON.stringify(value)?.slice(0, 80)}, which is not understood here; pictures would come out otherwise than the network expects.`,
      { field: name },
    );
  }
}

function geometry(
  file: string,
  processor: Processor,
  family: string,
): Pick<ReadProcessor, 'imageSize' | 'preprocessing'> {
  if (processor.do_resize === false) {
    throw new Problem(
      'unsupported-model',
      `${file} has do_resize = false: pictures would be cut out at their own size, whatever it is, which is not done here. Set do_resize to true and "size" to what the network was trained with.`,
      { field: 'do_resize' },
    );
  }
  // Early files give one number: the short edge for CLIP's and BiT's processors, both edges for the others.
  const type = processor.image_processor_type ?? processor.feature_extractor_type ?? family;
  const short = /clip|bit|dinov2/i.test(type) && !/siglip/i.test(type);
  // These processors crop unless they are told not to.
  const crops = processor.do_center_crop === undefined ? short : (processor.do_center_crop ?? false);
  const resized = edge(file, processor.size, 'size', short);
  const cut = crops ? edge(file, processor.crop_size, 'crop_size', false) : undefined;
  if (resized && cut && cut.length > resized.length) {
    throw new Problem(
      'unsupported-model',
      `${file} has crop_size = ${cut.length} above size = ${resized.length}: pictures would get a black border, which is not done here.`,
      { field: 'crop_size' },
    );
  }
  if (resized?.short && !cut) {
    throw new Problem(
      'unsupported-model',
      `${file} has size.shortest_edge = ${resized.length} without a centre crop: inputs would be rectangles, and only squares can be run. Set do_center_crop and crop_size.`,
      { field: 'size' },
    );
  }
  return {
    imageSize: cut?.length ?? resized?.length,
    preprocessing: {
      cropPct: cut && resized && resized.length > cut.length ? cut.length / resized.length : 1,
      interpolation: resampling(file, processor.resample ?? BICUBIC),
      cropMode: resized?.short ? 'center' : 'squash',
      mean: processor.image_mean ?? [0, 0, 0],
      std: processor.image_std ?? [1, 1, 1],
    },
  };
}

/** Pixels are scaled to [0, 1] before they are normalised; nothing else can be described. */
function checkScale(file: string, { do_rescale: rescales, rescale_factor: factor }: Processor): void {
  if (rescales === false || (factor && Math.abs(factor * 255 - 1) > 1e-3)) {
    throw new Problem(
      'invalid-config',
      `${file} scales pixels by ${rescales === false ? 1 : factor}; only 1/255 can be done.`,
    );
  }
}

function resampling(file: string, filter: number): Interpolation {
  const name = RESAMPLE[filter];
  if (name) return name;
  throw new Problem(
    'invalid-config',
    `${file}: the resampling filter ${filter} cannot be done; 1 (lanczos), 2 (bilinear) and 3 (bicubic) can.`,
  );
}

function edge(
  file: string,
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
    `${file}: ${name} is ${JSON.stringify(size)}; a square ("height" equal to "width") or "shortest_edge" can be done.`,
  );
}
