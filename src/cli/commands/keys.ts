import { Command } from 'commander';
import { Problem } from '../../problem/index.ts';
import { createKey } from '../../serving/index.ts';
import type { Console } from '../console.ts';
import { jsonOption } from '../options.ts';

/** `concertina keys create` */
export function keys(console: Console): Command {
  const create = new Command('create')
    .description('Make an API key for a tier. It is shown once; only its salted hash is kept.')
    .requiredOption('--tier <name>', 'the tier that it belongs to')
    .option('--config <file>', 'tiers configuration, to check the name against')
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ concertina keys create --tier premium --config tiers.yaml')
    .action(async ({ tier, config, json }: { tier: string; config?: string; json?: boolean }) => {
      if (config !== undefined) {
        const { readTiers } = await import('../../host/index.ts');
        const tiers = await readTiers(config);
        if (!Object.hasOwn(tiers, tier))
          throw new Problem(
            'usage',
            `${config} has no tier "${tier}". It has: ${Object.keys(tiers).join(', ')}.`,
          );
      }
      const { key, hash } = await createKey(tier);
      if (json) {
        console.print(JSON.stringify({ tier, key, hash }));
        return;
      }
      console.print(key);
      console.say(`
Give the key above to the caller; it is not stored anywhere and cannot be shown again.
Put its hash into the configuration:

tiers:
  ${tier}:
    keys:
      - ${hash}`);
    });
  return new Command('keys').description('API keys of the traffic tiers.').addCommand(create);
}
