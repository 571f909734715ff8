import { Command } from 'commander';
import { openCheckpoint } from '../../checkpoint/index.ts';
import { Problem } from '../../problem/index.ts';
import { openStore } from '../../storage/node.ts';
import type { Console } from '../console.ts';
import { blockChart, ladderTable } from '../ladder-table.ts';
import { modelName } from '../model-name.ts';
import { jsonOption, storeOption, whole } from '../options.ts';

interface InspectFlags {
  readonly store: string;
  readonly model?: string;
  readonly level?: number;
  readonly json?: boolean;
}

/** `concertina inspect` */
export function inspect(console: Console): Command {
  return new Command('inspect')
    .description('Show the ladder of a checkpoint, and what a level keeps of each block.')
    .addOption(storeOption())
    .option('--model <id>', 'name of the model (default: the only one)')
    .option('--level <number>', 'show the blocks of this level', whole(0, 1000))
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ concertina inspect --store ./models --model vit-tiny --level 3')
    .action(async (flags: InspectFlags) => {
      const store = await openStore(flags.store);
      const { model, digest, manifest } = await openCheckpoint(store, await modelName(store, flags.model));
      const { config, ladder, provenance, weights, components } = manifest;
      const level = flags.level === undefined ? undefined : ladder[flags.level];
      if (flags.level !== undefined && !level)
        throw new Problem(
          'usage',
          `There is no level ${flags.level}; levels go from 0 to ${ladder.length - 1}.`,
        );
      if (flags.json) {
        console.print(
          JSON.stringify({
            model,
            digest,
            config,
            ladder: level ? [level] : ladder,
            components,
            provenance,
            size: weights.size,
          }),
        );
        return;
      }
      console.print(`${model}  ${digest}`);
      console.print(
        `${config.architecture}: ${config.imageSize} px, patch ${config.patchSize}, ${config.depth} blocks of ${config.heads} heads and ${config.channels} channels, width ${config.width}`,
      );
      console.print(
        `recipe ${recipeName(provenance.recipe)}, path ${provenance.path}, seed ${provenance.seed}, ${provenance.images.used} images, ${components} principal components\n`,
      );
      for (const line of ladderTable(ladder)) console.print(line);
      if (level) {
        console.print(`\nLevel ${flags.level}: ${(100 * level.share).toFixed(1)} % of the FLOPs`);
        for (const line of blockChart(level, config)) console.print(line);
        if (level.corrections.length > 0) console.print(`${level.corrections.length} tensors of its own`);
      }
    });
}

function recipeName(recipe: unknown): string {
  return typeof recipe === 'object' && recipe && 'name' in recipe ? String(recipe.name) : 'unknown';
}
