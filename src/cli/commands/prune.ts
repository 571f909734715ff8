import { basename } from 'node:path';
import { Command, Option } from 'commander';
import type { Device } from '../../engine/index.ts';
import { openStore } from '../../storage/node.ts';
import type { Console } from '../console.ts';
import { interruption } from '../interruption.ts';
import { ladderTable } from '../ladder-table.ts';
import { deviceOption, jsonOption, levels, storeOption, whole } from '../options.ts';
import { typed } from '../typed.ts';

interface PruneFlags {
  readonly model: string;
  readonly images: string;
  readonly store: string;
  readonly name?: string;
  readonly recipe: string;
  readonly path?: 'joint-search' | 'snapvit' | 'best';
  readonly levels: number | number[];
  readonly seed: number;
  readonly scores?: string;
  readonly work?: string;
  readonly device: Device;
  readonly json?: boolean;
  readonly remote?: boolean;
  readonly queue?: string;
  readonly definition?: string;
}

/** `concertina prune` */
export function prune(console: Console): Command {
  return new Command('prune')
    .description('Turn pretrained weights and photographs into one elastic checkpoint.')
    .requiredOption(
      '--model <folder|url>',
      'folder with config.json and safetensors, hf:org/name, timm/name, s3://…',
    )
    .requiredOption(
      '--images <folder>',
      'calibration photographs (a folder or s3://…); labels are not needed',
    )
    .addOption(storeOption())
    .option('--name <id>', 'name it is published under (default: the last part of --model)')
    .option(
      '--recipe <name|file>',
      'quick, best, best-tuned, compact, compact-tuned, snapvit-reference, or a YAML or JSON file',
      'best',
    )
    .addOption(
      new Option('--path <name>', 'rule that turns FLOP shares into levels (default: the recipe’s)').choices([
        'joint-search',
        'snapvit',
        'best',
      ]),
    )
    .option('--levels <number|shares>', 'number of levels, or FLOP shares such as 0.3,0.5,1', levels, 8)
    .option('--seed <number>', 'same seed, same bytes', whole(0, 2 ** 31), 0)
    .option(
      '--scores <file>',
      "importance scores released by SnapViT's authors (safetensors), instead of the recipe's",
    )
    .addOption(
      new Option(
        '--work <folder|url>',
        'where finished steps are kept, so that an interrupted job resumes; s3://… on another machine, too',
      ).env('CONCERTINA_WORK'),
    )
    .addOption(deviceOption())
    .option('--remote', 'submit the job to AWS Batch (deploy/aws/pruning.yml) instead of running it here')
    .addOption(new Option('--queue <arn>', 'with --remote: its queue').env('CONCERTINA_PRUNE_QUEUE'))
    .addOption(
      new Option('--definition <arn>', 'with --remote: its definition').env('CONCERTINA_PRUNE_DEFINITION'),
    )
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Example:
  $ concertina prune --model ./vit-tiny --images ./photos --store s3://my-bucket/models --name vit-tiny

Interrupt it with Ctrl+C: the same command resumes from the last finished step.`,
    )
    .action(async (flags: PruneFlags) => {
      if (flags.remote) return await runRemotely(flags, console);
      const [{ localFolder }, { openModel }, { prune: runPrune }] = await Promise.all([
        import('../../host/index.ts'),
        import('../../hub/index.ts'),
        import('../../pruning/index.ts'),
      ]);
      const report = console.reporter(flags);
      const signal = interruption('The finished steps are kept; the same command resumes.', console);
      const result = await runPrune({
        ...flags,
        model: await openModel(flags.model, { report, signal }),
        images: await localFolder(flags.images, report, signal),
        name: flags.name ?? nameOf(flags.model),
        store: await openStore(flags.store),
        report,
        signal,
      });
      const { name, digest, ladder, images } = result;
      if (flags.json) {
        console.print(
          JSON.stringify({
            event: 'published',
            name,
            digest,
            images,
            ladder: ladder.map(jsonLevel),
            store: flags.store,
          }),
        );
        return;
      }
      for (const line of ladderTable(ladder)) console.print(line);
      console.print(`\nPublished ${name} (${digest.slice(0, 12)}) to ${flags.store}.`);
      console.print(`Serve it: ${typed(`serve --store ${flags.store}`, process.env)}`);
    });
}

async function runRemotely(flags: PruneFlags, console: Console): Promise<void> {
  const { remoteJob, submitJob } = await import('../submit-job.ts');
  const job = remoteJob(flags, flags.name ?? nameOf(flags.model));
  const id = await submitJob(job);
  if (flags.json) {
    console.print(JSON.stringify({ event: 'submitted', job: id, name: job.name, queue: job.queue }));
    return;
  }
  console.print(`Submitted ${job.name} as job ${id}.`);
  console.print(`Watch it: aws batch describe-jobs --jobs ${id} --query 'jobs[0].[status,statusReason]'`);
}

/** Letters, digits, `.`, `_`, `-`: what a checkpoint may be called. */
export function nameOf(model: string): string {
  const last = basename(
    model
      .replace(/[/\\]+$/, '')
      .replace(/@[^/]*$/, '')
      .replace(/[/]model[.]safetensors$/, ''),
  );
  return last.replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^[^A-Za-z0-9]+/, '') || 'model';
}

function jsonLevel({ share, flops, params, memory, fidelity }: Parameters<typeof ladderTable>[0][number]) {
  return {
    flops: share,
    gflops: flops / 1e9,
    params,
    memory,
    fidelity: fidelity.fp32.mean,
    fidelity_p5: fidelity.fp32.p5,
  };
}
