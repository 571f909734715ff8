import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildInto } from '../support/build-into.ts';

const ROOT = join(import.meta.dirname, '../..');

/** `/var/task` as `deploy/container/lambda.Dockerfile` lays it: the built program, packages and tiers. */
export async function makeTaskRoot(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'concertina-task-'));
  await buildInto(path);
  await mkdir(join(path, 'deploy'));
  await cp(join(ROOT, 'deploy/tiers.yaml'), join(path, 'deploy/tiers.yaml'));
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
