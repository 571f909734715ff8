/** Writes docs/errors.md from the table of problems: `node tools/errors-page/errors-page.ts`. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PROBLEMS } from '../../src/problem/index.ts';

export const ERRORS_PAGE = join(import.meta.dirname, '../../docs/errors.md');

/** The reference of problem codes, by status. */
export function errorsPage(): string {
  const rows = Object.entries(PROBLEMS)
    .sort(([, a], [, b]) => a.status - b.status)
    .map(([code, { status, title }]) => `| ${status} | \`${code}\` | ${title} |`);
  return `# Errors

Generated from \`src/problem/problem.ts\`. The gateway answers with \`application/problem+json\` (RFC 9457): \`code\` is stable and
made for programs; \`detail\` says what happened and what to do; further members carry numbers (\`nearest\`, \`limit\`,
\`position\`). The same answer holds OpenAI's \`error\` object, so that its clients raise their own classes. Commands print the
same sentence and exit with 1, or 2 for a command line that cannot be understood.

Retry 429 and 503 after \`Retry-After\`. Retry 500, 502 and 504 if you can. Do not retry the others: the same request will
get the same answer.

| status | code | meaning |
|---|---|---|
${rows.join('\n')}
`;
}

if (import.meta.main) await writeFile(ERRORS_PAGE, errorsPage());
