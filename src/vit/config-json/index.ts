import { Problem } from '../../problem/index.ts';
import type { ConfigHints } from './hints.ts';
import type { ProcessorFile } from './processor.ts';
import { readTimmConfig } from './timm.ts';
import { readTransformersConfig } from './transformers.ts';

export type { ConfigHints, TimmNetwork } from './hints.ts';
export type { ProcessorFile } from './processor.ts';

/**
 * Reads a model's `config.json` (and the file about pictures, if there is one), as timm or transformers wrote it.
 * @throws Problem('invalid-config') saying what is missing, ('unsupported-model')
 */
export function readConfigJson(config: unknown, processor?: ProcessorFile): ConfigHints {
  const document = typeof config === 'object' && config !== null ? config : {};
  // transformers' wrapper around timm writes both; the tensors then have timm's names.
  if ('architecture' in document) return readTimmConfig(config);
  if ('model_type' in document) return readTransformersConfig(config, processor);
  throw new Problem(
    'invalid-config',
    'config.json has neither "architecture" (timm) nor "model_type" (transformers). It should be the file that one of them writes beside the weights.',
  );
}
