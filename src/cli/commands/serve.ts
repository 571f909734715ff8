import { Command, Option } from 'commander';
import type { Device } from '../../engine/index.ts';
import type { LogFormat, RunningServer } from '../../host/index.ts';
import { cachedStore, openStore } from '../../storage/node.ts';
import type { Console } from '../console.ts';
import {
  deviceOption,
  limitOptions,
  packingOption,
  precisionOption,
  storeOption,
  whole,
} from '../options.ts';

interface ServeFlags {
  readonly store: string;
  readonly port: number;
  readonly host: string;
  readonly config?: string;
  readonly keys?: string;
  readonly tier?: string;
  readonly model?: string[];
  readonly device: Device;
  readonly precision: 'auto' | 'fp32' | 'int8';
  readonly packing: 'auto' | 'none' | 'full' | 'all';
  readonly workers?: number;
  readonly allowUrl?: string[];
  readonly maxBody?: number;
  readonly maxBodyMs?: number;
  readonly maxInputs?: number;
  readonly maxPixels?: number;
  readonly cache?: string;
  readonly cacheSize: number;
  readonly log: LogFormat;
}

export function portOption(): Option {
  return new Option('--port <number>', '0: any free port')
    .env('PORT')
    .default(8787)
    .argParser(whole(0, 65_535));
}

export function hostOption(): Option {
  return new Option('--host <address>', '0.0.0.0 to be reached from outside')
    .env('HOST')
    .default('127.0.0.1');
}

/** `concertina serve` */
export function serve(console: Console): Command {
  return new Command('serve')
    .description('Serve every checkpoint of a store over HTTP.')
    .addOption(storeOption())
    .addOption(portOption())
    .addOption(hostOption())
    .addOption(
      new Option('--config <file>', 'traffic tiers, YAML or JSON; read again when it changes').env(
        'CONCERTINA_CONFIG',
      ),
    )
    .addOption(
      new Option(
        '--keys <file>',
        'hashes of API keys by tier, or secretsmanager:<id>; read again every minute',
      ).env('CONCERTINA_KEYS'),
    )
    .addOption(new Option('--tier <name>', 'serve this tier only').env('CONCERTINA_TIER'))
    .option('--model <id...>', 'serve these models only; the first answers requests that name none')
    .addOption(deviceOption())
    .addOption(precisionOption())
    .addOption(packingOption())
    .addOption(
      new Option('--workers <number>', 'engine threads (default: one per core)')
        .env('CONCERTINA_WORKERS')
        .argParser(whole(1, 256)),
    )
    .option(
      '--allow-url <host...>',
      'fetch images from these https hosts ("*.example.com", "*"); off by default',
    )
    .addOption(limitOptions.bodyBytes())
    .addOption(limitOptions.bodyMs())
    .addOption(limitOptions.inputs())
    .addOption(limitOptions.pixels())
    .option('--cache <folder>', 'keep what was read of checkpoints here, verified, for warm restarts')
    .option('--cache-size <GB>', 'bytes that the cache may take', whole(1, 10_000), 4)
    .addOption(
      new Option('--log <format>', 'what is written about each request')
        .choices(['json', 'text', 'none'])
        .default(process.stdout.isTTY ? 'text' : 'json'),
    )
    .addHelpText(
      'after',
      `
Example:
  $ concertina serve --store s3://my-bucket/models --config tiers.yaml --host 0.0.0.0`,
    )
    .action(async (flags: ServeFlags) => {
      const [origin, { gatewayLog, imageFetcher, startServer, traceSettings }] = await Promise.all([
        openStore(flags.store),
        import('../../host/index.ts'),
      ]);
      const store =
        flags.cache === undefined
          ? origin
          : cachedStore(origin, {
              directory: flags.cache,
              maxBytes: flags.cacheSize * 2 ** 30,
              // Latency profiles lie beside the checkpoint and are written again.
              immutable: (key) => /\/[0-9a-f]{64}\/(?!profiles\/)/.test(key),
            });
      const server = await startServer({
        ...flags,
        limits: {
          bodyBytes: flags.maxBody,
          bodyMs: flags.maxBodyMs,
          inputs: flags.maxInputs,
          pixels: flags.maxPixels,
        },
        models: flags.model,
        fetchImage: flags.allowUrl && imageFetcher({ allow: flags.allowUrl }),
        store,
        log: gatewayLog(flags.log, console.print),
        traces: traceSettings(process.env),
      });
      console.say(`Serving ${flags.store} at ${server.url}`);
      await untilStopped(server, console);
    });
}

/** Ends in order at the first Ctrl+C or SIGTERM: accepted requests are finished, new ones refused. */
export async function untilStopped(server: RunningServer, console: Console): Promise<void> {
  await new Promise<void>((stopped) => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stopped());
  });
  console.say('Finishing the requests in work …');
  await server.close();
}
