import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ARCHITECTURE, FOLDERS, withTable } from '../../tools/architecture/folders-table.ts';

const SRC = join(import.meta.dirname, '../../src');

describe('the table of folders in ARCHITECTURE.md', () => {
  it('is what its script makes of the rules that imports are checked by', () => {
    const page = readFileSync(ARCHITECTURE, 'utf8');
    expect(page).toContain('| `src/gateway` |');
    expect(page).toBe(withTable(page));
  });

  it('has every folder once', () => {
    const folders = readdirSync(SRC, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(FOLDERS.map(({ name }) => name).sort()).toEqual(folders.map(({ name }) => name).sort());
  });

  it('lets every folder import only what stands below it', () => {
    const names = FOLDERS.map(({ name }) => name);
    for (const { name, imports } of FOLDERS)
      for (const other of imports) expect(names.indexOf(other)).toBeGreaterThan(names.indexOf(name));
  });
});

it('sources are cited by what everybody can read: a paper and its section', () => {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  const hidden =
    /snapvit\.md|\b(?:in|of) the plan\b|\bthe plan (?:has|names|says|expect)|section \d+(?:\.\d+)* of the method/i;
  const found = files.flatMap((file) =>
    readFileSync(join(SRC, file), 'utf8')
      .split('\n')
      .flatMap((line, at) => (hidden.test(line) ? [`src/${file}:${at + 1}: ${line.trim()}`] : [])),
  );
  expect(found).toEqual([]);
});
