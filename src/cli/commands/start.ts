import { join } from 'node:path';
import { Command } from 'commander';
import { listModels } from '../../checkpoint/index.ts';
import { packageFolder } from '../../host/assets.ts';
import { openStore } from '../../storage/node.ts';
import type { Console } from '../console.ts';
import { interruption } from '../interruption.ts';
import { storeOption, whole } from '../options.ts';
import { nameOf } from './prune.ts';
import { hostOption, portOption, untilStopped } from './serve.ts';

interface StartFlags {
  readonly model?: string;
  readonly images?: string;
  readonly recipe: string;
  readonly store: string;
  readonly port: number;
  readonly host: string;
  readonly workers?: number;
}

/** `npm start`: from nothing to a gateway that answers. */
export function start(console: Console): Command {
  const assets = join(packageFolder(), 'assets');
  return new Command('start')
    .description('Prune the sample model if that has not been done yet, and serve it.')
    .option(
      '--model <folder|url>',
      'weights to prune and serve instead of the sample model: a folder, hf:org/name, …',
    )
    .option('--images <folder>', 'calibration photographs (default: the sample images)')
    .option('--recipe <name|file>', 'pruning recipe', 'best')
    .addOption(storeOption())
    .addOption(portOption())
    .addOption(hostOption())
    .option('--workers <number>', 'engine threads (default: one per core)', whole(1, 256))
    .addHelpText('after', '\nExample:\n  $ npm start -- --model ./my-vit --images ./photos')
    .action(async ({ model, images, recipe, store: url, port, host, workers }: StartFlags) => {
      const source = model ?? join(assets, 'sample-model');
      const name = nameOf(source);
      const store = await openStore(url);
      if (!(await listModels(store)).includes(name)) {
        console.say(`Pruning ${name} into ${url} (once; it resumes if it is interrupted).`);
        const folder = images ?? join(assets, 'sample-images');
        const signal = interruption('Run it again to resume.', console);
        const report = console.reporter({});
        const [{ openModel }, { prune }] = await Promise.all([
          import('../../hub/index.ts'),
          import('../../pruning/index.ts'),
        ]);
        await prune({
          model: await openModel(source, { report, signal }),
          images: folder,
          store,
          name,
          recipe,
          report,
          signal,
        });
        process.removeAllListeners('SIGINT');
        process.removeAllListeners('SIGTERM');
      }
      const { gatewayLog, startServer } = await import('../../host/index.ts');
      const log = gatewayLog('text', console.print);
      const server = await startServer({ store, port, host, workers, models: [name], log });
      const picture = 'assets/sample-images/fish-1.jpg';
      console.say(`
Concertina serves ${name} at ${server.url}

  Playground   ${server.url}/
  Reference    ${server.url}/docs

Try it, with 70 % of the network:

  curl -i --data-binary @${picture} -H 'Content-Type: image/jpeg' \\
    -H 'Compute-Budget: flops=0.7' ${server.url}/v1/embed

Stop with Ctrl+C.`);
      await untilStopped(server, console);
    });
}
