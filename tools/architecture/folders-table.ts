/** Writes the table of folders into ARCHITECTURE.md, from the rules that imports are checked by: `node tools/architecture/folders-table.ts`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

export const ARCHITECTURE = join(import.meta.dirname, '../../ARCHITECTURE.md');

const FoldersSchema = z.array(
  z.strictObject({ name: z.string(), is: z.string(), imports: z.array(z.string()) }),
);

/** The folders of src/, each with those that it may import, all of which stand below it. */
export const FOLDERS = FoldersSchema.parse(
  JSON.parse(readFileSync(join(import.meta.dirname, 'folders.json'), 'utf8')),
);

const FUNCTIONS =
  '| `functions/` | entry points: process, Lambda, Worker, bulk batches, pruning job | public faces of all of them |';

/** The page with the table as the rules have it. */
export function withTable(page: string): string {
  const rows = FOLDERS.map(
    ({ name, is, imports }) => `| \`src/${name}\` | ${is} | ${imports.join(', ') || 'nothing'} |`,
  );
  const table = ['| folder | is | may import |', '|---|---|---|', FUNCTIONS, ...rows].join('\n');
  return page.replace(
    /(<!-- folders -->\n)[\s\S]*?(<!-- \/folders -->)/,
    (_, open: string, close: string) => `${open}${table}\n${close}`,
  );
}

if (import.meta.main) writeFileSync(ARCHITECTURE, withTable(readFileSync(ARCHITECTURE, 'utf8')));
