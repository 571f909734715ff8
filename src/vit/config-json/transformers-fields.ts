import { Problem } from '../../problem/index.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Read by `transformers.ts`, or compared with the tensors. */
const READ = [
  ...['model_type', 'num_attention_heads', 'layer_norm_eps', 'hidden_act', 'image_size', 'rope_theta'],
  ...[
    'hidden_size',
    'num_hidden_layers',
    'patch_size',
    'intermediate_size',
    'mlp_ratio',
    'num_register_tokens',
  ],
  ...['use_swiglu_ffn', 'use_gated_mlp'],
];

/** Whether there are biases and gains is what the tensors show. */
const SHOWN_BY_TENSORS = [
  ...['qkv_bias', 'query_bias', 'key_bias', 'value_bias', 'proj_bias', 'mlp_bias', 'layerscale_value'],
];

/** Initialisation, training, masking while training, parts beside the embedding, names. */
const WITHOUT_INFLUENCE = [
  ...[
    'attention_dropout',
    'attention_probs_dropout_prob',
    'hidden_dropout_prob',
    'dropout',
    'drop_path_rate',
  ],
  ...['initializer_range', 'initializer_factor', 'logit_scale_init_value', 'mask_ratio', 'norm_pix_loss'],
  ...['pos_embed_shift', 'pos_embed_jitter', 'pos_embed_rescale', 'use_mask_token', 'encoder_stride'],
  ...['pooler_output_size', 'pooler_act', 'projection_dim', 'stage_names', 'out_features', 'out_indices'],
  ...['reshape_hidden_states', 'num_labels', 'classifier_dropout'],
  ...['decoder_num_attention_heads', 'decoder_hidden_size', 'decoder_num_hidden_layers'],
  ...[
    'decoder_intermediate_size',
    'semantic_loss_ignore_index',
    'auto_map',
    'attn_implementation',
    'device_map',
  ],
  // What every configuration of transformers has or had.
  ...[
    '_name_or_path',
    '_attn_implementation',
    '_attn_implementation_autoset',
    '_commit_hash',
    'architectures',
  ],
  ...[
    'dtype',
    'torch_dtype',
    'transformers_version',
    'id2label',
    'label2id',
    'finetuning_task',
    'problem_type',
  ],
  ...['output_attentions', 'output_hidden_states', 'return_dict', 'return_dict_in_generate', 'torchscript'],
  ...['use_bfloat16', 'tie_word_embeddings', 'tie_encoder_decoder', 'is_decoder'],
  ...['is_encoder_decoder', 'add_cross_attention', 'cross_attention_hidden_size', 'chunk_size_feed_forward'],
  ...[
    'bad_words_ids',
    'begin_suppress_tokens',
    'bos_token_id',
    'decoder_start_token_id',
    'diversity_penalty',
  ],
  ...['do_sample', 'early_stopping', 'encoder_no_repeat_ngram_size', 'eos_token_id', 'forced_bos_token_id'],
  ...[
    'exponential_decay_length_penalty',
    'forced_eos_token_id',
    'length_penalty',
    'max_length',
    'min_length',
  ],
  ...['no_repeat_ngram_size', 'num_beam_groups', 'num_beams', 'num_return_sequences', 'output_scores'],
  ...['pad_token_id', 'prefix', 'remove_invalid_values', 'repetition_penalty', 'sep_token_id'],
  ...['suppress_tokens', 'task_specific_params', 'temperature', 'tf_legacy_loss', 'tokenizer_class', 'top_k'],
  ...['top_p', 'typical_p'],
];

/** Fields that are understood at these values only, as JSON. */
const ONLY: Readonly<Record<string, readonly string[]>> = {
  num_channels: ['3'],
  apply_layernorm: ['true'],
  vision_use_head: ['true'],
  pruned_heads: ['{}', '[]', 'null'],
};

const TOWERS = ['vision_config', 'text_config', 'text_config_dict', 'vision_config_dict'];
const KNOWN: ReadonlySet<string> = new Set([...READ, ...SHOWN_BY_TENSORS, ...WITHOUT_INFLUENCE, ...TOWERS]);

/** The fields of config.json that decide what is computed, for the documentation. */
export const UNDERSTOOD_FIELDS: readonly string[] = [...READ, ...SHOWN_BY_TENSORS, ...Object.keys(ONLY)];

/**
 * Refuses what is not understood: in the network's own fields, and beside them where they lie one level down.
 * @throws Problem('unsupported-model') naming the field
 */
export function checkFields(type: string, network: Fields, outer: Fields): void {
  for (const fields of new Set([network, outer])) {
    for (const [name, value] of Object.entries(fields)) {
      const only = Object.hasOwn(ONLY, name) ? ONLY[name] : undefined;
      if (only ? only.includes(JSON.stringify(value)) : KNOWN.has(name)) continue;
      throw new Problem(
        'unsupported-model',
        `config.json of "${type}" has ${name} = ${JSON.stringify(value)?.slice(0, 80)}, ${only ? `which cannot be run; ${only.join(', ')} can` : 'a field that is not understood here'}. Nobody could tell what the network computes.`,
        { field: name },
      );
    }
  }
}
