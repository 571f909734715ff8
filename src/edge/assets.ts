import type { Asset } from '../gateway/index.ts';
import type { Fetcher } from './bindings.ts';

/** The playground's files from the assets binding, which holds the folder `assets`. */
export function boundAssets(assets: Fetcher): (path: string) => Promise<Asset | undefined> {
  return async function asset(path) {
    const name = path === '/' || path === '' ? '/index.html' : path;
    const file = name.startsWith('/samples/')
      ? name.replace('/samples/', '/sample-images/')
      : `/playground${name}`;
    const answer = await assets.fetch(new Request(new URL(file, 'http://assets')));
    const contentType = answer.headers.get('Content-Type');
    if (!answer.ok || contentType === null) return undefined;
    return { body: new Uint8Array(await answer.arrayBuffer()), contentType };
  };
}
