#!/usr/bin/env node
import { CommanderError } from 'commander';
import { isProblem } from '../problem/index.ts';
import { processConsole } from './console.ts';
import { program } from './program.ts';

/** Exit codes: 0 done, 1 failed, 2 not understood, 130 interrupted. */
const [FAILED, USAGE, INTERRUPTED] = [1, 2, 130];

try {
  await withExits(program(processConsole)).parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Commander's own exits become errors, in every subcommand. */
function withExits(command: ReturnType<typeof program>): typeof command {
  command.exitOverride();
  for (const child of command.commands) withExits(child);
  return command;
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
  const json = process.argv.includes('--json');
  if (isProblem(error)) {
    if (json)
      processConsole.print(
        JSON.stringify({ event: 'error', code: error.code, message: error.message, ...error.details }),
      );
    else processConsole.say(`${error.message} (${error.code})`);
    if (error.code === 'aborted') return INTERRUPTED;
    return error.code === 'usage' ? USAGE : FAILED;
  }
  if (json)
    processConsole.print(JSON.stringify({ event: 'error', code: 'internal-error', message: String(error) }));
  processConsole.say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return FAILED;
}
