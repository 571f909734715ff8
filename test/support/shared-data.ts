import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Real weights and photographs, beside the checkout; tests that need them are skipped, by name, where they are absent. */
export const SHARED_DATA = join(import.meta.dirname, '../../../shared/data');
export const hasSharedData = existsSync(SHARED_DATA);

export const AUGREG = join(SHARED_DATA, 'models/vit_tiny_patch16_224.augreg_in21k_ft_in1k');
export const DEIT = join(SHARED_DATA, 'models/deit_tiny_patch16_224.fb_in1k');
