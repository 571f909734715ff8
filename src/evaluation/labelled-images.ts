import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Problem } from '../problem/index.ts';

const EXTENSION = /\.(jpe?g|png|webp|avif|gif|tiff?)$/i;
/** Of a folder without splits, every so many pictures of a class are queries. */
const QUERY_EVERY = 4;

export interface LabelledImage {
  readonly file: string;
  readonly label: number;
}

/** Pictures with their classes: a gallery to search in, and queries that are not in it. */
export interface LabelledImages {
  readonly classes: readonly string[];
  readonly gallery: readonly LabelledImage[];
  readonly queries: readonly LabelledImage[];
}

/**
 * Reads a folder of class folders. Folders `train` and `test` (or `val`) on top are the gallery and the queries; without them
 * every fourth picture of a class, in order of name, is a query.
 * @param limit pictures of each side and class at most
 * @throws Problem('no-images')
 */
export async function readLabelledImages(
  folder: string,
  limit = Number.POSITIVE_INFINITY,
): Promise<LabelledImages> {
  const top = await subfolders(folder);
  const test = top.find((name) => name === 'test' || name === 'val');
  if (top.includes('train') && test !== undefined) {
    const classes = await subfolders(join(folder, 'train'));
    const [gallery, queries] = await Promise.all(
      ['train', test].map((split) => readClasses(join(folder, split), classes, limit)),
    );
    return check(folder, { classes, gallery: gallery?.flat() ?? [], queries: queries?.flat() ?? [] });
  }
  const all = await readClasses(folder, top, Number.POSITIVE_INFINITY);
  const part = (queries: boolean) =>
    all.flatMap((list) =>
      list.filter((_, i) => (i % QUERY_EVERY === QUERY_EVERY - 1) === queries).slice(0, limit),
    );
  return check(folder, { classes: top, gallery: part(false), queries: part(true) });
}

async function subfolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new Problem('no-images', `The folder ${folder} cannot be read.`, { folder }, { cause });
  });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

async function readClasses(
  folder: string,
  classes: readonly string[],
  limit: number,
): Promise<LabelledImage[][]> {
  return await Promise.all(
    classes.map(async (name, label) => {
      const files = await readdir(join(folder, name)).catch(() => []);
      return files
        .filter((file) => EXTENSION.test(file))
        .sort()
        .slice(0, limit)
        .map((file) => ({ file: join(folder, name, file), label }));
    }),
  );
}

function check(folder: string, images: LabelledImages): LabelledImages {
  if (images.classes.length > 1 && images.gallery.length > 0 && images.queries.length > 0) return images;
  throw new Problem(
    'no-images',
    `${folder} holds no labelled pictures: it must have a folder of pictures for each of at least two classes, or such folders under train/ and test/.`,
    { folder },
  );
}
