import { readdir, readFile, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { Command } from 'commander';
import { parseBudgetHeader } from '../../budget/index.ts';
import type { Device } from '../../engine/index.ts';
import { isProblem, Problem } from '../../problem/index.ts';
import { openStore } from '../../storage/node.ts';
import type { Console } from '../console.ts';
import { interruption } from '../interruption.ts';
import { lineFile } from '../line-file.ts';
import { modelName } from '../model-name.ts';
import { deviceOption, precisionOption, storeOption } from '../options.ts';

const EXTENSIONS = new Set(['.jpg', '.jpeg', '.png', '.webp', '.avif', '.gif', '.tif', '.tiff']);

interface EmbedFlags {
  readonly store: string;
  readonly model?: string;
  readonly budget?: string;
  readonly out?: string;
  readonly normalize: boolean;
  readonly device: Device;
  readonly precision: 'auto' | 'fp32' | 'int8';
}

/** `concertina embed` */
export function embed(console: Console): Command {
  return new Command('embed')
    .description('Embed image files under a budget; one JSON object per image.')
    .argument('<images...>', 'files, or folders that are searched')
    .addOption(storeOption())
    .option('--model <id>', 'name of the model (default: the only one)')
    .option(
      '--budget <terms>',
      'as in the Compute-Budget header: "flops=0.7", "fidelity=0.95" or "flops=0.8, aim=cheapest"',
    )
    .option('--out <file>', 'write JSON lines here instead of standard output')
    .option('--no-normalize', 'embeddings as the network gives them, not scaled to length 1')
    .addOption(deviceOption())
    .addOption(precisionOption())
    .addHelpText(
      'after',
      '\nExample:\n  $ concertina embed ./photos --store ./models --budget "flops=0.7" --out photos.jsonl',
    )
    .action(async (paths: string[], flags: EmbedFlags) => {
      const budget = parseBudgetHeader(flags.budget ?? '');
      const files = (await Promise.all(paths.map(imageFiles))).flat();
      if (files.length === 0) throw new Problem('no-images', `There is no image in ${paths.join(', ')}.`);
      // Before the model is loaded: a file that cannot be written is found at once.
      const out = flags.out === undefined ? undefined : await lineFile(flags.out);
      const store = await openStore(flags.store);
      const signal = interruption('The lines written so far are complete.', console);
      const name = await modelName(store, flags.model);
      const { openEmbedder } = await import('../../host/index.ts');
      const embedder = await openEmbedder(store, name, {
        device: flags.device,
        onFallback: (reason) => console.say(reason),
        precision: flags.precision,
        normalize: flags.normalize,
        signal,
      });
      try {
        const chosen = embedder.plan(budget);
        const { level, precision, flops, fidelity } = chosen;
        const share = `level ${level} in ${precision}, ${(100 * flops).toFixed(0)} % of the FLOPs`;
        const step = console.reporter({}).step(share, files.length);
        let failed = 0;
        const width = embedder.concurrency;
        for (let first = 0; first < files.length; first += width) {
          signal.throwIfAborted();
          const lines = await Promise.all(
            files.slice(first, first + width).map(async (file) => {
              try {
                const embedding = await embedder.embed(await readFile(file), chosen, signal);
                return { file, level, precision, flops, fidelity, embedding: Array.from(embedding) };
              } catch (error) {
                if (!isProblem(error) || signal.aborted) throw error;
                failed++;
                return { file, error: { code: error.code, message: error.message } };
              }
            }),
          );
          for (const line of lines)
            if (out) await out.write(JSON.stringify(line));
            else console.print(JSON.stringify(line));
          step.advance(Math.min(files.length, first + width));
        }
        step.end(failed > 0 ? `${failed} could not be read` : undefined);
        if (failed === files.length) throw new Problem('no-images', 'None of the images could be read.');
      } finally {
        await embedder.close();
        await out?.close();
      }
    });
}

async function imageFiles(path: string): Promise<string[]> {
  const info = await stat(path).catch((cause: unknown) => {
    throw new Problem('no-images', `There is no file or folder ${path}.`, { path }, { cause });
  });
  if (!info.isDirectory()) return [path];
  const names = await readdir(path, { recursive: true });
  return names
    .filter((name) => EXTENSIONS.has(extname(name).toLowerCase()))
    .sort()
    .map((name) => join(path, name));
}
