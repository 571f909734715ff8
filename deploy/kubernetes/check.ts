import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { asText, DEFAULTS, render } from './render.ts';
import { manifestErrors } from './validate.ts';

/** Errors of the manifests as they are committed: by their schemas, and where they are not what the tiers ask for. */
export async function checkManifests(): Promise<string[]> {
  const errors: string[] = [];
  for (const [path, manifests] of render(DEFAULTS)) {
    const text = await readFile(join(import.meta.dirname, '..', path), 'utf8').catch(() => '');
    if (text !== asText(manifests))
      errors.push(`deploy/${path} is not what the tiers ask for: run node deploy/kubernetes/render.ts`);
    for (const document of parseAllDocuments(text))
      for (const error of manifestErrors(document.toJS())) errors.push(`deploy/${path}: ${error}`);
  }
  return errors;
}
