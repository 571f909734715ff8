import { Command } from 'commander';
import { collectGarbage } from '../../checkpoint/index.ts';
import { openStore } from '../../storage/node.ts';
import type { Console } from '../console.ts';
import { table } from '../ladder-table.ts';
import { jsonOption, storeOption, whole } from '../options.ts';

interface GcFlags {
  readonly store: string;
  readonly model?: string;
  readonly olderThan: number;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** `concertina gc` */
export function gc(console: Console): Command {
  return new Command('gc')
    .description('Remove versions that no latest.json points to and that no reader can still need.')
    .addOption(storeOption())
    .option('--model <id>', 'only this model')
    .option('--older-than <hours>', 'nothing of a model that changed since is touched', whole(1, 100_000), 24)
    .option('--dry-run', 'say what would be removed')
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  $ concertina gc --store s3://my-bucket/models --dry-run')
    .action(async ({ store, model, olderThan, dryRun = false, json }: GcFlags) => {
      const report = await collectGarbage(await openStore(store), {
        dryRun,
        olderThan: olderThan * 3_600_000,
        ...(model !== undefined && { model }),
      });
      if (json) {
        console.print(JSON.stringify({ event: 'gc', dryRun, ...report }));
        return;
      }
      const rows = [
        ...report.removed.map((version) => ({ ...version, reason: dryRun ? 'would be removed' : 'removed' })),
        ...report.kept,
      ];
      const cells = rows.map((row) => [
        row.model,
        row.digest.slice(0, 12),
        `${(row.bytes / 2 ** 20).toFixed(1)} MB`,
        row.reason,
      ]);
      for (const line of table([['model', 'version', 'size', ''], ...cells])) console.print(line);
      const { leftovers } = report;
      if (leftovers.files > 0)
        console.print(
          `${leftovers.files} files of interrupted writes ${dryRun ? 'would be removed' : 'removed'}: ${(leftovers.bytes / 2 ** 20).toFixed(1)} MB`,
        );
      console.print(`${dryRun ? 'To be freed' : 'Freed'}: ${(report.bytes / 2 ** 20).toFixed(1)} MB`);
    });
}
