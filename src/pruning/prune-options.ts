import type { Level } from '../checkpoint/index.ts';
import type { Device } from '../engine/index.ts';
import type { Reporter } from '../progress/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import type { ModelFiles } from '../vit/index.ts';
import type { Recipe, RecipeInput } from './recipe/schema.ts';

export interface PruneOptions {
  /** Folder with `config.json` and safetensors weights, or such files from elsewhere (a hub, an object store). */
  readonly model: string | ModelFiles;
  /** Folder of photographs. */
  readonly images: string;
  /** Where the elastic checkpoint is published. */
  readonly store: ObjectStore;
  /** Name it is published under. @default the last part of the model's path */
  readonly name?: string | undefined;
  /** A shipped name, a YAML or JSON file, or a recipe. @default 'best' */
  readonly recipe?: string | RecipeInput | undefined;
  /** Takes the place of the recipe's path. `best` is an older name of `joint-search`. */
  readonly path?: 'joint-search' | 'snapvit' | 'best' | undefined;
  /** Number of levels, or their FLOP shares. @default 8 */
  readonly levels?: number | readonly number[] | undefined;
  /** @default 0 */
  readonly seed?: number | undefined;
  /** Released importance scores (safetensors) that take the place of the recipe's criterion. */
  readonly scores?: string | undefined;
  /**
   * Store in which finished steps are kept until the job is done: a folder, or `s3://bucket/prefix`, where another machine finds them.
   * @default `~/.cache/concertina/work`
   */
  readonly work?: string | undefined;
  /** Where the network runs while it is pruned; the result is the same up to rounding. @default 'auto' */
  readonly device?: Device | undefined;
  readonly report?: Reporter | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PruneResult {
  /** Name it was published under. */
  readonly name: string;
  /** Digest of the checkpoint: `<name>/<digest>/manifest.json`. */
  readonly digest: string;
  readonly ladder: readonly Level[];
  /** The recipe that was followed, every number filled in. */
  readonly recipe: Recipe;
  readonly images: { readonly used: number; readonly skipped: number };
}
