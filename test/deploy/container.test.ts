import { execFile, spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, stat, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStore } from '../../src/storage/node.ts';
import { picture } from '../support/pictures.ts';
import { publishTiny } from '../support/tiny-store.ts';
import { until } from '../support/until.ts';

const ROOT = join(import.meta.dirname, '../..');
const CONTAINERS = join(ROOT, 'deploy/container');
const IMAGES = ['Dockerfile', 'lambda.Dockerfile', 'gpu.Dockerfile'] as const;
const run = promisify(execFile);

interface Dockerfile {
  /** Images that it begins from. */
  readonly bases: readonly string[];
  /** What the last stage copies: from the first stage's `/app`, to the image. */
  readonly copies: readonly (readonly [from: string, to: string])[];
  readonly text: string;
}

async function readDockerfile(name: string): Promise<Dockerfile> {
  const text = await readFile(join(CONTAINERS, name), 'utf8');
  return {
    text,
    bases: [...text.matchAll(/^FROM (\S+)/gm)].map(([, base = '']) => base),
    copies: [...text.matchAll(/^COPY --from=build \/app\/(\S+) (\S+)$/gm)].map(([, from = '', to = '']) => [
      from,
      to,
    ]),
  };
}

/** Runs what the images run, where there is no Docker: their first stage in a folder, their last stage in another. */
describe('the container images', () => {
  let work: string;
  let build: string;

  beforeAll(async () => {
    work = await mkdtemp(join(tmpdir(), 'concertina-container-'));
    build = join(work, 'build');
    const ignored = new Set((await readFile(join(ROOT, '.dockerignore'), 'utf8')).trim().split('\n'));
    await cp(ROOT, build, {
      recursive: true,
      filter: (path) => path === ROOT || !ignored.has(path.slice(ROOT.length + 1)),
    });
    // `npm ci`, build, `npm prune`, without installing twice: built with this checkout's packages, then only the product's.
    await symlink(join(ROOT, 'node_modules'), join(build, 'node_modules'));
    await run('npm', ['run', '--silent', 'build'], { cwd: build });
    await unlink(join(build, 'node_modules'));
    await run('npm', ['ci', '--omit=dev', '--no-audit', '--no-fund', '--prefer-offline'], { cwd: build });
  }, 300_000);
  afterAll(() => rm(work, { recursive: true, force: true }));

  /** The last stage of an image, as a folder. */
  async function image(name: string): Promise<string> {
    const { copies } = await readDockerfile(name);
    const folder = join(work, basename(name));
    for (const [from, to] of copies) {
      const target = to.replace(/^\$\{LAMBDA_TASK_ROOT\}\//, '');
      if (from === 'node_modules') {
        await stat(join(build, from));
        await cp(join(build, 'package.json'), join(folder, 'package.json'));
        await symlink(join(build, from), join(folder, target));
      } else await cp(join(build, from), join(folder, target), { recursive: true });
    }
    return folder;
  }

  it.each(IMAGES)('%s begins from images of a fixed version, and copies files that exist', async (name) => {
    const { bases, copies, text } = await readDockerfile(name);
    expect(bases).toHaveLength(2);
    for (const base of bases) expect(base).toMatch(/:\d+(\.\d+){0,2}[\w.-]*$|@sha256:[0-9a-f]{64}$/);
    expect(copies.length).toBeGreaterThan(2);
    for (const [from] of copies) await stat(join(build, from));
    for (const [, file] of text.matchAll(/"?(dist\/[\w./-]+?\.js)"?/g)) await stat(join(build, file ?? ''));
  });

  it('answers a request with the packages of the product alone, and drains at SIGTERM', async () => {
    const store = join(work, 'store');
    await publishTiny(await openStore(store));
    const cwd = await image('Dockerfile');
    const { text } = await readDockerfile('Dockerfile');
    const entry: string[] = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(text)?.[1] ?? '[]');
    const command: string[] = JSON.parse(/^CMD (.*)$/m.exec(text)?.[1] ?? '[]');
    expect(entry.shift()).toBe('node');
    const env = {
      PATH: process.env.PATH,
      NODE_ENV: 'production',
      PORT: '0',
      CONCERTINA_STORE: store,
      CONCERTINA_CONFIG: 'deploy/tiers.yaml',
      CONCERTINA_WORKERS: '1',
    };
    const child = spawn(process.execPath, [...entry, ...command], { cwd, env });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
    const exited = new Promise<number | null>((done) => child.once('exit', done));
    await until(() => /at http:\S+/.test(output) || child.exitCode !== null, 30_000);
    const [, url] = /at (http:\S+)/.exec(output) ?? expect.fail(output);
    const answer = await fetch(`${url}/v1/embed`, {
      method: 'POST',
      headers: { 'Content-Type': 'image/png' },
      body: await picture(),
    });
    expect(answer.status, await answer.clone().text()).toBe(200);
    expect((await fetch(`${url}/`)).headers.get('Content-Type')).toContain('text/html');
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
  });

  it('has the Lambda handlers and the pruning job where their images start them', async () => {
    const store = join(work, 'lambda-store');
    await publishTiny(await openStore(store));
    const cwd = await image('lambda.Dockerfile');
    const env = { PATH: process.env.PATH, CONCERTINA_STORE: store, CONCERTINA_CONFIG: 'deploy/tiers.yaml' };
    const program = join(cwd, 'load.mjs');
    // Lambda's own runtime gives the first line.
    await writeFile(
      program,
      `globalThis.awslambda = { streamifyResponse: (handler) => handler };
const { handler, stream } = await import('./dist/functions/lambda/gateway.js');
console.log(typeof handler, typeof stream);
process.exit();`,
    );
    const { stdout } = await run(process.execPath, [program], { cwd, env });
    expect(stdout.trim().split('\n').at(-1)).toBe('function function');
    const gpu = await image('gpu.Dockerfile');
    const job = await run(process.execPath, ['dist/functions/prune.js', '--help'], { cwd: gpu });
    expect(job.stdout).toContain('--images <folder>');
  });
});
