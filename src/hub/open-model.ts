import { existsSync } from 'node:fs';
import { openStore } from '../storage/node.ts';
import type { ModelFiles } from '../vit/index.ts';
import { folderFiles } from '../vit/node.ts';
import { hubFiles } from './hub-files.ts';
import { notUnderstood, parseReference } from './reference.ts';
import { type HubOptions, hubSettings } from './settings.ts';
import { storeFiles } from './store-files.ts';

/**
 * The files of a model, wherever they are: a folder (also `file:///…`), the hub (`hf:owner/name[@revision]`, `timm/name`, or
 * the address of the model's page), or an object store (`s3://bucket/prefix`). What is where is looked up when the
 * files are listed. A folder that is there wins over a name on the hub.
 * @example const { config } = await readModel(await openModel('hf:facebook/dino-vitb16@main'));
 * @throws Problem('invalid-model-reference'); the files' own methods: ('unknown-model'), ('hub-denied'),
 *   ('hub-unavailable'), ('corrupt-download')
 */
export async function openModel(reference: string, options: HubOptions = {}): Promise<ModelFiles> {
  if (reference !== '' && existsSync(reference)) return folderFiles(reference);
  const settings = hubSettings(options);
  const parsed = parseReference(reference, settings.endpoint);
  switch (parsed.kind) {
    case 'hub':
      return hubFiles(parsed, settings);
    case 'store':
      return storeFiles(await openStore(parsed.url), settings.signal);
    case 'folder':
      if (!existsSync(parsed.path)) throw notUnderstood(reference);
      return folderFiles(parsed.path);
  }
}
