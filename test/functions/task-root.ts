import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const ROOT = join(import.meta.dirname, '../..');

/** `/var/task` as `deploy/container/lambda.Dockerfile` lays it: the built program, packages and tiers. */
export async function makeTaskRoot(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'concertina-task-'));
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  await promisify(execFile)(
    process.execPath,
    [tsc, '-p', 'tsconfig.build.json', '--outDir', join(path, 'dist')],
    {
      cwd: ROOT,
    },
  );
  await mkdir(join(path, 'deploy'));
  await cp(join(ROOT, 'deploy/tiers.yaml'), join(path, 'deploy/tiers.yaml'));
  await cp(join(ROOT, 'package.json'), join(path, 'package.json'));
  await symlink(join(ROOT, 'node_modules'), join(path, 'node_modules'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** A function of serverless.yml, as `deploy/aws/functions.cjs` gives it to osls. */
export interface FunctionOfTemplate {
  readonly image: { readonly command: readonly string[] };
  readonly environment: Readonly<Record<string, unknown>>;
}

export async function templateFunctions(): Promise<Record<string, FunctionOfTemplate>> {
  const variables: Readonly<Record<string, string>> = {
    'param:tiers': 'deploy/tiers.yaml',
    'param:image': 'image',
    'param:models': '',
    'param:accountLimits': 'raised',
    'sls:stage': 'dev',
  };
  const { functions } = createRequire(import.meta.url)('../../deploy/aws/functions.cjs');
  return await functions({ resolveVariable: async (name: string) => variables[name] ?? '' });
}
