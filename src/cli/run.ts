import { type Command, CommanderError } from 'commander';
import { isProblem } from '../problem/index.ts';
import type { Console } from './console.ts';
import { program } from './program.ts';

const [FAILED, USAGE, INTERRUPTED] = [1, 2, 130];

/**
 * Runs one command line.
 * @returns exit code: 0 done, 1 failed, 2 not understood, 130 interrupted
 */
export async function runCommand(words: readonly string[], console: Console): Promise<number> {
  try {
    await withExits(program(console)).parseAsync(words, { from: 'user' });
    return 0;
  } catch (error) {
    return report(error, words.includes('--json'), console);
  }
}

/** Commander's own exits become errors, in every subcommand. */
function withExits(command: Command): Command {
  command.exitOverride();
  for (const child of command.commands) withExits(child);
  return command;
}

function report(error: unknown, json: boolean, console: Console): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
  if (isProblem(error)) {
    const { code, message, details } = error;
    if (json) console.print(JSON.stringify({ event: 'error', code, message, ...details }));
    else console.say(`${message} (${code})`);
    if (code === 'aborted') return INTERRUPTED;
    return code === 'usage' ? USAGE : FAILED;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (json) console.print(JSON.stringify({ event: 'error', code: 'internal-error', message: String(error) }));
  console.say(text);
  return FAILED;
}
