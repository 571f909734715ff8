import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Asset } from '../gateway/index.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.jpg': 'image/jpeg',
  '.png': 'image/png',
};

/** The folder that holds `package.json`: three up in the sources, four up in `dist`. */
export function packageFolder(): string {
  const here = fileURLToPath(import.meta.url);
  return here.includes(`${join('dist', 'src', 'host')}`) ? join(here, '../../../..') : join(here, '../../..');
}

/** Serves the playground's files and the sample images; nothing outside their folders. */
export function folderAssets(): (path: string) => Promise<Asset | undefined> {
  const root = packageFolder();
  const folders: readonly (readonly [string, string])[] = [
    ['/samples/', join(root, 'assets/sample-images')],
    ['/', join(root, 'assets/playground')],
  ];
  return async function asset(path) {
    const wanted = path === '/' || path === '' ? '/index.html' : path;
    if (!/^[\w./-]+$/.test(wanted) || wanted.includes('..')) return undefined;
    const [prefix, folder] = folders.find(([start]) => wanted.startsWith(start)) ?? [];
    const contentType = TYPES[extname(wanted)];
    if (prefix === undefined || folder === undefined || !contentType) return undefined;
    try {
      const bytes = await readFile(join(folder, normalize(wanted.slice(prefix.length))));
      return { body: new Uint8Array(bytes), contentType };
    } catch {
      return undefined;
    }
  };
}
