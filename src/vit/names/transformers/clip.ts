import { Problem } from '../../../problem/index.ts';
import { baseConfig, type Family } from '../family.ts';
import { encoderBlock } from './encoder.ts';

/** Outside the image network's prefix, in checkpoints that have it. */
const PROJECTION = 'visual_projection.weight';

/** The image network of CLIP and MetaCLIP 2: a norm before the blocks, [CLS], projected into the space shared with text. */
export const transformersClip: Family = {
  name: 'CLIP, MetaCLIP 2',
  naming: 'transformers',
  prefixes: [''],
  landmark: 'vision_model.embeddings.patch_embedding.weight',
  matches: (_, { family }) => /^(clip|metaclip_2)(_vision_model)?$/.test(family),

  config(source, hints) {
    const base = baseConfig(hints, {
      patch: source.shape('vision_model.embeddings.patch_embedding.weight'),
      depth: source.count('vision_model.encoder.layers.'),
      channels: source.side('vision_model.encoder.layers.0.mlp.fc1.weight', 0),
    });
    const projected = source.has(PROJECTION) ? source.shape(PROJECTION)[0] : undefined;
    if (projected === base.width) {
      throw new Problem(
        'unsupported-model',
        `The projection "${PROJECTION}" is as wide as the network (${projected}), which cannot be told from none.`,
      );
    }
    return { ...base, preNorm: true, embeddingWidth: projected ?? base.width };
  },

  names: (source) => ({
    patch: 'vision_model.embeddings.patch_embedding',
    cls: 'vision_model.embeddings.class_embedding',
    positions: { table: 'vision_model.embeddings.position_embedding.weight', rows: 'all', antialias: false },
    preNorm: 'vision_model.pre_layrnorm', // transformers' own spelling
    block: (index) => encoderBlock(index, 'vision_model.'),
    norm: 'vision_model.post_layernorm',
    ...(source.has(PROJECTION) ? { projection: PROJECTION } : {}),
  }),

  unused:
    /^classifier\.|^text_model\.|^text_projection\.|^logit_scale$|^vision_model\.embeddings\.position_ids$/,
};
