import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');

/** Every page that somebody may follow. */
export const PAGES: readonly string[] = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'deploy/README.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/**
 * What becomes of a block, by the words after its fence:
 * - `sh`, `ts`: run as it is, against a gateway
 * - `sh served`: started, waited for until it is ready, stopped
 * - `sh parsed`: needs an account, other files or hours: its commands, flags and files are checked
 * - `py`: the reader of the checkpoint format, run by its own test
 * - `text`: no command
 */
export const KINDS = ['sh', 'ts', 'sh served', 'sh parsed', 'py', 'text'] as const;

export interface Block {
  readonly page: string;
  readonly kind: string;
  readonly code: string;
}

/** The blocks of a page. What stands in the deployment page without a word needs an account: it is parsed. */
export function blocks(page: string): Block[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  return [...text.matchAll(/^( *)```([^\n]*)\n([\s\S]*?)^\1```$/gm)].map(
    ([, indent = '', info = '', code = '']) => ({
      page,
      kind: info === '' && page === 'deploy/README.md' ? 'sh parsed' : info,
      code: code.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    }),
  );
}

export const BLOCKS: readonly Block[] = PAGES.flatMap(blocks);
