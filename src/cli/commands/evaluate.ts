import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import type { Device } from '../../engine/index.ts';
import type { Evaluation } from '../../evaluation/index.ts';
import { openStore } from '../../storage/node.ts';
import type { Console } from '../console.ts';
import { interruption } from '../interruption.ts';
import { table } from '../ladder-table.ts';
import { modelName } from '../model-name.ts';
import { deviceOption, jsonOption, storeOption, whole } from '../options.ts';

interface EvaluateFlags {
  readonly store: string;
  readonly model?: string[];
  readonly images: string;
  readonly limit?: number;
  readonly out?: string;
  readonly device: Device;
  readonly json?: boolean;
}

/** `concertina evaluate` */
export function evaluate(console: Console): Command {
  return new Command('evaluate')
    .description('Measure every level on labelled pictures: fidelity, k-NN, linear probe, retrieval, time.')
    .addOption(storeOption())
    .option('--model <id...>', 'models to compare (default: the only one)')
    .requiredOption('--images <folder>', 'class folders, or train/ and test/ with class folders')
    .option('--limit <number>', 'pictures of each class and split at most', whole(1, 1_000_000))
    .option('--out <file>', 'write an HTML report with plots')
    .addOption(deviceOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nExample:\n  $ concertina evaluate --store ./models --images ./clothing --out report.html',
    )
    .action(async (flags: EvaluateFlags) => {
      const evaluation = await import('../../evaluation/index.ts');
      const store = await openStore(flags.store);
      const images = await evaluation.readLabelledImages(flags.images, flags.limit);
      const signal = interruption('Nothing was written.', console);
      const names = flags.model ?? [await modelName(store, undefined)];
      const evaluations: Evaluation[] = [];
      for (const name of names) {
        const report = console.reporter(flags);
        evaluations.push(
          await evaluation.evaluate(store, name, images, { device: flags.device, report, signal }),
        );
      }
      if (flags.out !== undefined) {
        await writeFile(flags.out, evaluation.htmlReport(evaluations));
        console.say(`Report written to ${flags.out}.`);
      }
      for (const found of evaluations) {
        if (flags.json) console.print(JSON.stringify({ event: 'evaluation', ...found }));
        else for (const line of lines(found)) console.print(line);
      }
    });
}

function lines({ model, recipe, gallery, queries, levels }: Evaluation): string[] {
  return [
    `\n${model} (${recipe}): ${gallery} pictures in the gallery, ${queries} queries`,
    ...table([
      ['level', 'precision', 'FLOPs', 'fidelity', 'p5', 'k-NN', 'probe', 'recall@1', 'recall@10', 'ms'],
      ...levels.map((level) => [
        String(level.level),
        level.precision,
        `${(100 * level.flops).toFixed(1)} %`,
        level.fidelity.mean.toFixed(4),
        level.fidelity.p5.toFixed(4),
        level.knn.toFixed(4),
        level.probe.toFixed(4),
        level.recall.at1.toFixed(4),
        level.recall.at10.toFixed(4),
        level.ms.toFixed(2),
      ]),
    ]),
  ];
}
