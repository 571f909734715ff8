import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.ts'),
);
/** All comments of a file, without line breaks. */
const commentsOf = (file: string) =>
  [...readFileSync(join(ROOT, 'src', file), 'utf8').matchAll(/\/\*[\s\S]*?\*\/|\/\/.*/g)]
    .map(([comment]) => comment.replaceAll(/\s*\n\s*\*?\s*/g, ' '))
    .join('\n');

const MONTH = /^(January|February|March|April|May|June|July|August|September|October|November|December)$/;
/** `Moore 1981`, `Bolya et al. 2023`, `Box & Muller 1958`, `Lee, Ajanthan & Torr, ICLR 2019`. */
const CITED =
  /\b([A-Z][a-z]+)(?:(?:, [A-Z][a-z]+)* (?:&|and) [A-Z][a-z]+| et al\.)?,?(?: [A-Z]{3,}| IMA J\. Numer\. Anal\.)? ((?:19|20)\d\d)\b/g;

describe('sources', () => {
  it('that comments cite are listed with a place where anybody finds them', () => {
    const method = readFileSync(join(ROOT, 'docs/method.md'), 'utf8');
    const listed = method
      .slice(method.indexOf('\n## Sources\n'))
      .split('\n')
      .filter((line) => line.startsWith('- '));
    const cited = new Set<string>();
    for (const file of files)
      for (const [, author = '', year = ''] of commentsOf(file).matchAll(CITED))
        if (!MONTH.test(author)) cited.add(`${author} ${year}`);
    expect(cited.size).toBeGreaterThan(12);
    const missing = [...cited].filter((source) => {
      const [author = '', year = ''] = source.split(' ');
      return !listed.some((line) => line.includes(author) && line.includes(year));
    });
    expect(missing).toEqual([]);
    for (const line of listed) expect(line).toMatch(/arXiv|doi|https?:|, \d+|pages? \d/);
  });

  it('are no notes that a reader does not have', () => {
    const PRIVATE = /section \d\w* of the (method|protocol|plan)\b|\bthe plan's\b|`[\w-]+\.md`,? section/;
    expect(files.filter((file) => PRIVATE.test(commentsOf(file)))).toEqual([]);
  });
});
