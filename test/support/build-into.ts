import { execFile } from 'node:child_process';
import { cp, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const ROOT = join(import.meta.dirname, '../..');
const SOURCES = ['src', 'functions', 'package.json'];
const PROJECTS = ['tsconfig.json', 'tsconfig.kernels.json', 'tsconfig.build.json'];

/** Makes `dist` in a folder, as `npm run build` does in a clone: with the sources beside it, and this checkout's packages. */
export async function buildInto(folder: string): Promise<void> {
  for (const name of [...SOURCES, ...PROJECTS])
    await cp(join(ROOT, name), join(folder, name), { recursive: true });
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  for (const words of [
    ['-b', 'tsconfig.kernels.json'],
    ['-p', 'tsconfig.build.json'],
  ])
    await promisify(execFile)(process.execPath, [tsc, ...words], { cwd: folder });
}
