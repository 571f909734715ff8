/**
 * The pruning job as a container's entry point (AWS Batch, or any machine): the flags of `concertina prune`. A model
 * `s3://bucket/incoming/<name>/model.safetensors`, as an event names it, stands for its folder; the name `none` for none.
 */
import { processConsole } from '../src/cli/console.ts';
import { runCommand } from '../src/cli/run.ts';

const words = process.argv.slice(2).map((word) => word.replace(/\/model\.safetensors$/, ''));
const unnamed = words.findIndex((word, index) => word === '--name' && words[index + 1] === 'none');
if (unnamed >= 0) words.splice(unnamed, 2);
process.exitCode = await runCommand(['prune', ...words], processConsole);
