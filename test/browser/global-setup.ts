import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { packageFolder } from '../../src/host/index.ts';
import { prune } from '../../src/pruning/index.ts';
import { openStore } from '../../src/storage/node.ts';
import { CHROMIUM } from './support/chromium.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Address of a store that holds the pruned sample model. */
    store: string;
  }
}

/** Prunes the sample model once for all files; `CONCERTINA_STORE` names a store that has it already. */
export default async function setup({ provide }: TestProject) {
  const given = process.env.CONCERTINA_STORE;
  if (given || !CHROMIUM) {
    provide('store', given ?? '');
    return;
  }
  const folder = await mkdtemp(join(tmpdir(), 'concertina-browser-'));
  const assets = join(packageFolder(), 'assets');
  await prune({
    model: join(assets, 'sample-model'),
    images: join(assets, 'sample-images'),
    store: await openStore(join(folder, 'store')),
    work: join(folder, 'work'),
    // Pictures for the documents are of what `npm start` makes.
    recipe: process.env.UPDATE_SCREENSHOTS ? 'best' : 'quick',
  });
  provide('store', join(folder, 'store'));
  return () => rm(folder, { recursive: true, force: true });
}
