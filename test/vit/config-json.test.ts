import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { readConfigJson } from '../../src/vit/config-json/index.ts';

const FILE = join(import.meta.dirname, '../fixtures/timm-architectures.json');
const architectures = z
  .record(
    z.string(),
    z.object({
      width: z.number(),
      heads: z.number(),
      gated: z.boolean(),
      activation: z.string(),
      layerNormEps: z.number(),
    }),
  )
  .parse(JSON.parse(readFileSync(FILE, 'utf8')));

const problem = (code: string, text: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(text) });

describe("timm's config.json", () => {
  it('says by the name of the architecture what the file leaves out, for all Vision Transformers of timm', () => {
    const wrong = Object.entries(architectures).filter(([architecture, expected]) => {
      const hints = readConfigJson({ architecture, pretrained_cfg: {} });
      return (
        hints.stated.width !== expected.width ||
        hints.heads !== expected.heads ||
        hints.timm?.gated !== expected.gated ||
        hints.activation !== expected.activation ||
        hints.layerNormEps !== expected.layerNormEps
      );
    });
    expect(wrong).toEqual([]);
    expect(Object.keys(architectures).length).toBeGreaterThan(140);
  });

  const written = {
    architecture: 'vit_base_patch16_clip_quickgelu_224',
    num_classes: 512,
    num_features: 768,
    global_pool: 'token',
    label_names: ['unknown', 'fields', 'do not matter'],
    model_args: { img_size: [336, 336], num_heads: 4, global_pool: 'avg', embed_dim: 96 },
    pretrained_cfg: {
      input_size: [3, 224, 224],
      crop_pct: 0.95,
      crop_mode: 'squash',
      interpolation: 'bilinear',
      mean: [0.1, 0.2, 0.3],
      std: [0.4, 0.5, 0.6],
    },
  };

  it('is read field by field, model_args first', () => {
    const { timm, ...hints } = readConfigJson(written);
    expect(hints).toEqual({
      naming: 'timm',
      architecture: 'vit_base_patch16_clip_quickgelu_224',
      family: 'vit',
      heads: 4,
      imageSize: 336,
      layerNormEps: 1e-5,
      activation: 'quick-gelu',
      preprocessing: {
        cropPct: 0.95,
        cropMode: 'squash',
        interpolation: 'bilinear',
        mean: [0.1, 0.2, 0.3],
        std: [0.4, 0.5, 0.6],
      },
      stated: { width: 96, depth: 12, patchSize: 16, channels: 384, registers: 0 },
      assumed: [],
    });
    expect(timm).toMatchObject({ pool: 'avg', preNorm: true, positions: 'prefix', rope: null });
  });

  it("with an architecture alone gets timm's own input and preprocessing, and says so", () => {
    const hints = readConfigJson({ architecture: 'vit_tiny_patch16_384' });
    expect(hints).toMatchObject({
      imageSize: 384,
      preprocessing: { cropPct: 1, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
    });
    expect(hints.assumed).toHaveLength(6);
    expect(hints.assumed.join()).toMatch(/crop_pct = 1, timm's own for "vit_tiny_patch16_384"/);
  });

  // Worked by hand from timm's constructors: the Perception Encoder counts positions from 1 on a grid of 24, columns first.
  it('tells how rotary positions lie', () => {
    const rope = (architecture: string) => readConfigJson({ architecture }).timm?.rope;
    expect(rope('vit_pe_core_tiny_patch16_384')).toEqual({
      rope: { theta: 10_000, grid: { offset: 1, patches: 24 } },
      interleaved: true,
      columnsFirst: true,
    });
    expect(rope('vit_base_patch16_dinov3')).toEqual({
      rope: { theta: 100 },
      interleaved: false,
      columnsFirst: false,
    });
    expect(rope('vit_tiny_patch16_224')).toBeNull();
  });

  it.each([
    ['a name that is none of timm’s', 'vit_of_my_own', /"vit_of_my_own".*which is none of timm's/],
    ['a learned rotary table', 'vit_small_patch16_rope_mixed_224', /rope_type = "mixed"/],
    ['RMSNorm', 'aimv2_1b_patch14_224', /norm_layer = "RmsNorm/],
    ['parallel branches', 'vit_small_patch16_18x2_224', /block_fn = "ParallelThingsBlock"/],
    ['norms of queries', 'vit_base_patch16_xp_224', /qk_norm|block_fn|norm_layer/],
    ['a norm inside the MLP', 'eva02_base_patch14_224', /scale_mlp = true/],
  ])('of an architecture with %s is refused by name', (_, architecture, text) => {
    expect(() => readConfigJson({ architecture, pretrained_cfg: {} })).toThrow(
      problem('unsupported-model', text),
    );
  });

  it('of the early kind has everything at the top', () => {
    const { pretrained_cfg: data, model_args: _, ...top } = written;
    const hints = readConfigJson({ ...top, ...data });
    expect(hints.imageSize).toBe(224);
    expect(hints.preprocessing.mean).toEqual([0.1, 0.2, 0.3]);
  });

  it("may be written by transformers' wrapper around timm", () => {
    expect(readConfigJson({ ...written, model_type: 'timm_wrapper' }).naming).toBe('timm');
  });

  it.each([
    ['a rectangular input', { model_args: { img_size: [224, 448] } }, 'invalid-config', /224 x 448/],
    [
      'an unknown interpolation',
      { pretrained_cfg: { interpolation: 'hamming' } },
      'invalid-config',
      /hamming/,
    ],
    ['borders', { pretrained_cfg: { crop_mode: 'border' } }, 'invalid-config', /border.*center and squash/],
    ['an argument nobody knows', { model_args: { warp: 2 } }, 'unsupported-model', /model_args\.warp = 2/],
    ['arguments of loading', { model_args: { distilled: true } }, 'unsupported-model', /distilled/],
    [
      'another pool',
      { model_args: { global_pool: 'max' } },
      'unsupported-model',
      /"max".*"token", "avg", "map"/,
    ],
    ['four channels', { model_args: { in_chans: 4 } }, 'unsupported-model', /in_chans = 4.*; 3 can/],
    ['a billion blocks', { model_args: { depth: 1e9 } }, 'invalid-config', /model_args\.depth = 1000000000/],
    ['-1 blocks', { model_args: { depth: -1 } }, 'invalid-config', /model_args\.depth = -1/],
    ['one and a half blocks', { model_args: { depth: 1.5 } }, 'invalid-config', /model_args\.depth = 1\.5/],
    ['patches of nothing', { model_args: { patch_size: 0 } }, 'invalid-config', /model_args\.patch_size = 0/],
    ['an endless MLP', { model_args: { mlp_ratio: 1e308 } }, 'invalid-config', /model_args\.mlp_ratio/],
    ['an endless input', { model_args: { img_size: 1e9 } }, 'invalid-config', /model_args\.img_size/],
    ['a crop of more than all', { pretrained_cfg: { crop_pct: 1.5 } }, 'invalid-config', /crop_pct/],
    ['another activation', { model_args: { act_layer: 'relu' } }, 'unsupported-model', /relu.*quick_gelu/],
    ['a text as mean', { pretrained_cfg: { mean: 'imagenet' } }, 'invalid-config', /pretrained_cfg\.mean/],
    ['half a head', { model_args: { num_heads: 2.5 } }, 'invalid-config', /model_args\.num_heads/],
  ])('with %s gets a clear problem', (_, change, code, text) => {
    expect(() => readConfigJson({ ...written, ...change })).toThrow(problem(code, text));
  });
});

describe("transformers' config.json", () => {
  it.each([
    ['vit', 12, 1e-12, 'gelu', 224],
    ['vit_msn', 12, 1e-6, 'gelu', 224],
    ['vit_mae', 12, 1e-12, 'gelu', 224],
    ['ijepa', 12, 1e-12, 'gelu', 224],
    ['metaclip_2', 12, 1e-5, 'quick-gelu', 224],
    ['deit', 12, 1e-12, 'gelu', 224],
    ['dinov2', 12, 1e-6, 'gelu', 224],
    ['dinov3_vit', 6, 1e-5, 'gelu', 224],
    ['siglip', 12, 1e-6, 'gelu-tanh', 224],
    ['siglip_vision_model', 12, 1e-6, 'gelu-tanh', 224],
    ['clip', 12, 1e-5, 'quick-gelu', 224],
  ])(
    'of %s may leave out what the library assumes',
    (model_type, heads, layerNormEps, activation, imageSize) => {
      const hints = readConfigJson({ model_type });
      expect(hints).toMatchObject({ naming: 'transformers', heads, layerNormEps, activation, imageSize });
      // Nothing of it in silence.
      for (const field of [
        'num_attention_heads',
        'layer_norm_eps',
        'hidden_act',
        'image_size',
        'preprocessing',
      ])
        expect(
          hints.assumed.some((one) => one.startsWith(`${field} = `)),
          field,
        ).toBe(true);
    },
  );

  it('keeps the image network of two-tower models one level down', () => {
    const vision = { num_attention_heads: 16, image_size: 384, layer_norm_eps: 1e-7, hidden_act: 'gelu' };
    const hints = readConfigJson({ model_type: 'siglip', num_attention_heads: 3, vision_config: vision });
    expect(hints).toMatchObject({ heads: 16, imageSize: 384, layerNormEps: 1e-7, activation: 'gelu' });
  });

  it.each([
    ['the family', { model_type: 'resnet' }, 'unsupported-model', /resnet.*Known are: vit, deit/],
    ['what it is', { hidden_size: 768 }, 'invalid-config', /"architecture" \(timm\) nor "model_type"/],
    ['a list', [], 'invalid-config', /neither/],
    ['nothing', null, 'invalid-config', /neither/],
    ['heads', { model_type: 'vit', num_attention_heads: 'many' }, 'invalid-config', /num_attention_heads/],
    ['the activation', { model_type: 'vit', hidden_act: 'relu' }, 'unsupported-model', /relu/],
    [
      'a known field',
      { model_type: 'vit', attention_window: 7 },
      'unsupported-model',
      /attention_window = 7/,
    ],
    [
      'three channels',
      { model_type: 'vit', num_channels: 1 },
      'unsupported-model',
      /num_channels = 1.*; 3 can/,
    ],
    [
      'that it pools',
      { model_type: 'siglip', vision_config: { vision_use_head: false } },
      'unsupported-model',
      /vision_use_head = false/,
    ],
    [
      'that all heads are there',
      { model_type: 'vit', pruned_heads: { 0: [1] } },
      'unsupported-model',
      /pruned/,
    ],
    [
      'a possible depth',
      { model_type: 'vit', num_hidden_layers: 1e9 },
      'invalid-config',
      /num_hidden_layers/,
    ],
    ['a possible patch', { model_type: 'vit', patch_size: 0 }, 'invalid-config', /patch_size/],
  ])('that does not say %s gets a clear problem', (_, config, code, text) => {
    expect(() => readConfigJson(config)).toThrow(problem(code, text));
  });
});

describe("transformers' preprocessor_config.json", () => {
  const read = (processor: unknown, model_type = 'vit') => {
    const { imageSize, preprocessing } = readConfigJson(
      { model_type, image_size: 518 },
      processor === undefined ? undefined : { file: 'preprocessor_config.json', content: processor },
    );
    const { cropPct, cropMode, interpolation, mean, std } = preprocessing;
    return { imageSize, resized: Math.round(imageSize ?? 0) / cropPct, cropMode, interpolation, mean, std };
  };
  const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
  const HALF = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };
  const given = { image_mean: IMAGENET.mean, image_std: IMAGENET.std };

  // The files of published checkpoints, by what the library does with them.
  it.each([
    [
      'ViTFeatureExtractor of DINO: one number is both edges',
      {
        do_normalize: true,
        do_resize: true,
        feature_extractor_type: 'ViTFeatureExtractor',
        size: 224,
        resample: 3,
        ...given,
      },
      { imageSize: 224, resized: 224, cropMode: 'squash', interpolation: 'bicubic', ...IMAGENET },
    ],
    [
      'DeiTFeatureExtractor: squashed to 256, then cut',
      {
        do_center_crop: true,
        crop_size: 224,
        feature_extractor_type: 'DeiTFeatureExtractor',
        size: 256,
        resample: 3,
        ...given,
      },
      { imageSize: 224, resized: 256, cropMode: 'squash', interpolation: 'bicubic', ...IMAGENET },
    ],
    [
      'BitImageProcessor of DINOv2: the short edge to 256, then cut',
      {
        crop_size: { height: 224, width: 224 },
        do_center_crop: true,
        do_convert_rgb: true,
        image_processor_type: 'BitImageProcessor',
        resample: 3,
        rescale_factor: 0.00392156862745098,
        size: { shortest_edge: 256 },
        ...given,
      },
      { imageSize: 224, resized: 256, cropMode: 'center', interpolation: 'bicubic', ...IMAGENET },
    ],
    [
      'CLIPFeatureExtractor: one number is the short edge',
      {
        crop_size: 224,
        do_center_crop: true,
        feature_extractor_type: 'CLIPFeatureExtractor',
        size: 224,
        resample: 3,
        ...given,
      },
      { imageSize: 224, resized: 224, cropMode: 'center', interpolation: 'bicubic', ...IMAGENET },
    ],
    [
      'SiglipImageProcessor: squashed, bilinear in version 2',
      {
        image_processor_type: 'SiglipImageProcessor',
        size: { height: 256, width: 256 },
        resample: 2,
        do_center_crop: null,
        image_mean: [0.5, 0.5, 0.5],
        image_std: [0.5, 0.5, 0.5],
      },
      { imageSize: 256, resized: 256, cropMode: 'squash', interpolation: 'bilinear', ...HALF },
    ],
    [
      'a file that does not normalise',
      { size: 32, do_normalize: false },
      {
        imageSize: 32,
        resized: 32,
        cropMode: 'squash',
        interpolation: 'bilinear',
        mean: [0, 0, 0],
        std: [1, 1, 1],
      },
    ],
  ])('is read: %s', (_, processor, expected) => {
    expect(read(processor)).toEqual(expected);
  });

  it('may be missing: the published checkpoints of the family tell', () => {
    expect(read(undefined, 'dinov2')).toMatchObject({ imageSize: 518, cropMode: 'center', ...IMAGENET });
    expect(read(undefined, 'siglip')).toMatchObject({
      cropMode: 'squash',
      interpolation: 'bicubic',
      ...HALF,
    });
    expect(read(undefined, 'clip').mean[0]).toBeCloseTo(0.4815, 4);
  });

  it.each([
    ['a rectangle', { size: { height: 224, width: 448 } }, /size is .*448/],
    ['the nearest pixel', { size: 224, resample: 0 }, /filter 0/],
    ['unscaled pixels', { size: 224, do_rescale: false }, /1\/255/],
    ['pixels in [-1, 1]', { size: 224, rescale_factor: 1 / 127.5 }, /1\/255/],
    ['four means', { size: 224, image_mean: [0, 0, 0, 0] }, /preprocessor_config\.json.*image_mean/],
    ['a list', [], /preprocessor_config\.json/],
  ])('that asks for %s gets a clear problem', (_, processor, text) => {
    expect(() => read(processor)).toThrow(problem('invalid-config', text));
  });

  const cut = { do_center_crop: true, size: { shortest_edge: 224 } };
  it.each([
    ['no resizing', { size: 224, do_resize: false }, /do_resize = false/],
    ['a crop above the size', { ...cut, crop_size: 256 }, /crop_size = 256 above size = 224/],
    [
      'rectangles',
      { do_center_crop: false, size: { shortest_edge: 224 } },
      /shortest_edge = 224 without a centre crop/,
    ],
    ['borders', { size: 224, do_pad: true }, /do_pad = true/],
    ['something new', { size: 224, sharpen: 2 }, /sharpen = 2/],
  ])('that asks for %s is refused by name', (_, processor, text) => {
    expect(() => read(processor)).toThrow(problem('unsupported-model', text));
  });
});
