#!/usr/bin/env node
import { processConsole } from './console.ts';
import { runCommand } from './run.ts';

process.exitCode = await runCommand(process.argv.slice(2), processConsole);
