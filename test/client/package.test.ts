import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const run = promisify(execFile);

const PROGRAM = `import { ConcertinaClient, ConcertinaError, type Embedding } from 'concertina/client';
const fetch = async (): Promise<Response> =>
  new Response(Float32Array.of(0.6, 0.8), {
    headers: { 'Compute-Applied': 'level=3, flops=0.5, limited-by=flops', 'Content-Type': 'application/octet-stream' },
  });
const client = new ConcertinaClient({ baseUrl: 'http://gateway.test', fetch });
const { embedding, level }: Embedding = await client.embed(new Uint8Array(3), { flops: 0.5 });
console.log(embedding.length, level, new ConcertinaError('unknown', 500, '') instanceof Error);
`;

describe('the packed package', () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'concertina-package-'));
    const { stdout } = await run('npm', ['pack', '--json', '--silent', '--pack-destination', folder], {
      cwd: ROOT,
      maxBuffer: 1e8,
    });
    const [name = ''] = /concertina-[\w.]+\.tgz/.exec(stdout) ?? [];
    const target = join(folder, 'node_modules/concertina');
    await mkdir(target, { recursive: true });
    await run('tar', ['-xzf', join(folder, name), '-C', target, '--strip-components=1']);
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    await writeFile(join(folder, 'program.ts'), PROGRAM);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('has concertina/client, which needs no other package', async () => {
    const { stdout } = await run(process.execPath, [join(folder, 'program.ts')]);
    expect(stdout).toBe('2 3 true\n');
  });

  it('has its types', async () => {
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    const flags = [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--lib',
      'es2024,dom',
    ];
    await run(process.execPath, [tsc, ...flags, join(folder, 'program.ts')], { cwd: folder });
    const wrong = PROGRAM.replace('flops: 0.5', "flops: 'half'");
    await writeFile(join(folder, 'wrong.ts'), wrong);
    await expect(
      run(process.execPath, [tsc, ...flags, join(folder, 'wrong.ts')], { cwd: folder }),
    ).rejects.toMatchObject({ stdout: expect.stringContaining("Type 'string' is not assignable") });
  });

  it('has the command line, beside the packages that it depends on', async () => {
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules/concertina/node_modules'));
    const main = join(folder, 'node_modules/concertina/dist/src/cli/main.js');
    const { stdout } = await run(process.execPath, [main, '--help']);
    expect(stdout).toMatch(/^Usage: concertina/);
  });
});
