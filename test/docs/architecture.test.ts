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
