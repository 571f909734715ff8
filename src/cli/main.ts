#!/usr/bin/env node
import { processConsole } from './console.ts';
import { runCommand } from './run.ts';

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Who reads no further (`| head`) has what they wanted.
  if (error.code === 'EPIPE') process.exit(0);
  processConsole.say(`Standard output cannot be written: ${error.message}.`);
  process.exit(1);
});
process.exitCode = await runCommand(process.argv.slice(2), processConsole);
