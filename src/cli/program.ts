import { Command } from 'commander';
import { VERSION } from '../host/version.ts';
import { embed } from './commands/embed.ts';
import { evaluate } from './commands/evaluate.ts';
import { gc } from './commands/gc.ts';
import { inspect } from './commands/inspect.ts';
import { keys } from './commands/keys.ts';
import { prune } from './commands/prune.ts';
import { serve } from './commands/serve.ts';
import { start } from './commands/start.ts';
import type { Console } from './console.ts';

/**
 * The command line. Commands import what they run when they run: a cold start of `serve` does not wait for what prunes.
 */
export function program(console: Console): Command {
  return new Command('concertina')
    .description(
      'A serverless elastic inference gateway for Vision Transformers: one checkpoint, every compute budget.',
    )
    .version(VERSION)
    .showHelpAfterError('(concertina <command> --help shows an example)')
    .addCommand(prune(console))
    .addCommand(serve(console))
    .addCommand(embed(console))
    .addCommand(evaluate(console))
    .addCommand(inspect(console))
    .addCommand(gc(console))
    .addCommand(keys(console))
    .addCommand(start(console));
}
