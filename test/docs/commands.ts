import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { processConsole } from '../../src/cli/console.ts';
import { program } from '../../src/cli/program.ts';
import { ROOT } from './blocks.ts';

const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
}; // npm's format

/** Checks a block that is not run: its shell, its npm scripts, our commands and flags, and the files that it names. */
export function checkCommands(code: string): void {
  execFileSync('bash', ['-n', '-c', code]);
  for (const line of code.replaceAll(/\\\n\s*/g, ' ').split('\n')) {
    const command = line.replace(/#.*$/, '');
    for (const [, script = ''] of command.matchAll(/npm run ([\w:-]+)/g))
      expect(scripts).toHaveProperty([script]);
    for (const [, file = ''] of command.matchAll(/ (?:-f|--config) ((?:deploy|src|bench)\/[\w./-]+)/g))
      expect([file, existsSync(join(ROOT, file))]).toEqual([file, true]);
    const own = /npm run concertina -- (\S+)(.*)$/.exec(command);
    if (own) checkOwn(own[1] ?? '', own[2] ?? '');
  }
}

function checkOwn(name: string, rest: string): void {
  let command = program(processConsole).commands.find((candidate) => candidate.name() === name);
  expect([name, command !== undefined]).toEqual([name, true]);
  const nested = command?.commands.find((candidate) => rest.trim().startsWith(candidate.name()));
  command = nested ?? command;
  const known = command?.options.map(({ long }) => long) ?? [];
  for (const [flag] of rest.matchAll(/--[a-z-]+/g)) expect(known).toContain(flag);
}
