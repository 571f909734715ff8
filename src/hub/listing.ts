import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { isProblem, Problem } from '../problem/index.ts';
import { get, readBody } from './http.ts';
import type { HubReference } from './reference.ts';
import { refusal } from './refusal.ts';
import { retrying } from './retry.ts';
import type { HubSettings } from './settings.ts';

/** A file of a model on the hub. */
export interface HubFile {
  readonly name: string;
  /** Bytes, where the hub tells. */
  readonly size?: number | undefined;
  /** sha256 of large files, hexadecimal. */
  readonly sha256?: string | undefined;
}

/** The files of a model at one commit. */
export interface Listing {
  /** What the revision stood for: everything else is asked for by this. */
  readonly commit: string;
  readonly files: readonly HubFile[];
}

const COMMIT = /^[0-9a-f]{40}$/;
const MAX_ANSWER_BYTES = 64 * 2 ** 20;

const AnswerSchema = z.looseObject({
  sha: z.string().regex(COMMIT),
  siblings: z.array(
    z.looseObject({
      rfilename: z.string(),
      size: z.number().int().nonnegative().nullish(),
      lfs: z
        .looseObject({ sha256: z.string().regex(/^[0-9a-f]{64}$/), size: z.number().int().nonnegative() })
        .nullish(),
    }),
  ),
});
const ListingSchema: z.ZodType<Listing> = z.object({
  commit: z.string().regex(COMMIT),
  files: z.array(z.object({ name: z.string(), size: z.number().optional(), sha256: z.string().optional() })),
});

/**
 * The files at the commit that the revision stands for. A commit that is in the cache is not asked for again; without a
 * connection the commit that the revision stood for last time is used, and a note says so.
 * @param folder of the model in the cache
 */
export async function listFiles(
  reference: HubReference,
  folder: string,
  settings: HubSettings,
): Promise<Listing> {
  const cached = (commit: string) => join(folder, `${commit}.json`);
  const ref = join(folder, 'refs', encodeURIComponent(reference.revision));
  if (COMMIT.test(reference.revision)) {
    const known = await readCached(cached(reference.revision));
    if (known) return known;
  }
  try {
    const listing = await ask(reference, settings);
    await writeCached(cached(listing.commit), JSON.stringify(listing));
    await writeCached(ref, listing.commit);
    return listing;
  } catch (error) {
    const last = await readFile(ref, 'utf8').catch(() => undefined);
    const known = last && COMMIT.test(last) ? await readCached(cached(last)) : undefined;
    if (!isProblem(error, 'hub-unavailable') || !known) throw error;
    settings.report.note(
      `${settings.endpoint} does not answer; using ${reference.id} as it was last time (${known.commit.slice(0, 8)}).`,
    );
    return known;
  }
}

async function ask(reference: HubReference, settings: HubSettings): Promise<Listing> {
  const { id, revision } = reference;
  const url = new URL(
    `${settings.endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`,
  );
  const text = await retrying(settings, async () => {
    const { signal, timeout } = settings;
    const answer = await get(url, { headers: requestHeaders(settings), signal, timeout });
    const body = await readBody(answer.body, MAX_ANSWER_BYTES);
    if (answer.status !== 200) throw refusal(answer, reference, settings);
    return body;
  });
  const parsed = AnswerSchema.safeParse(parseJson(text));
  if (!parsed.success) {
    throw new Problem(
      'hub-unavailable',
      `${settings.endpoint} does not answer as a model hub does (${parsed.error.issues[0]?.path.join('.')}). Check HF_ENDPOINT.`,
      { endpoint: settings.endpoint },
    );
  }
  return {
    commit: parsed.data.sha,
    files: parsed.data.siblings
      // A model's own files lie at the top; a name with a path in it is never written to disk.
      .filter(({ rfilename }) => /^[\w.-]+$/.test(rfilename) && !/^\.+$/.test(rfilename))
      .map(({ rfilename, size, lfs }) => ({
        name: rfilename,
        size: lfs?.size ?? size ?? undefined,
        sha256: lfs?.sha256,
      })),
  };
}

/** What every request to the hub carries. */
export function requestHeaders({ token }: HubSettings): Record<string, string> {
  return { 'user-agent': 'concertina', ...(token ? { authorization: `Bearer ${token}` } : {}) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function readCached(path: string): Promise<Listing | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  const parsed = text === undefined ? undefined : ListingSchema.safeParse(parseJson(text));
  return parsed?.success ? parsed.data : undefined;
}

async function writeCached(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, text);
  await rename(temporary, path);
}
