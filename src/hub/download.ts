import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Problem } from '../problem/index.ts';
import { claimFile } from './claim.ts';
import type { Answer } from './http.ts';
import { get } from './http.ts';
import { type HubFile, requestHeaders } from './listing.ts';
import type { HubReference } from './reference.ts';
import { refusal } from './refusal.ts';
import { retrying, Transient } from './retry.ts';
import type { HubSettings } from './settings.ts';

export interface Download {
  readonly reference: HubReference;
  readonly commit: string;
  readonly file: HubFile;
  /** Where the file is put once it is whole and its digest is right. */
  readonly path: string;
}

/** What the hub says about a file when it is asked for it. */
interface Expectation {
  readonly size: number | undefined;
  /** `sha256` of a large file, or git's own hash of a small one. */
  readonly digest: { readonly kind: 'sha256' | 'git'; readonly hex: string } | undefined;
}

const MEGABYTE = 1e6;

/**
 * Downloads one file. A part that another process is writing is left to it: this one then downloads for itself.
 * @throws Problem('corrupt-download') when the bytes are not those that the hub announced, ('unknown-model'),
 *   ('hub-denied'), ('hub-unavailable')
 */
export async function download(work: Download, settings: HubSettings): Promise<void> {
  await mkdir(dirname(work.path), { recursive: true });
  const shared = `${work.path}.part`;
  const release = await claimFile(shared);
  const part = release ? shared : `${work.path}.${process.pid}.part`;
  try {
    await downloadInto(part, work, settings);
  } finally {
    if (release) await release();
    else await rm(part, { force: true });
  }
}

/**
 * Downloads into a part, which a broken or interrupted download leaves and the next one continues; checks size and digest;
 * renames.
 */
async function downloadInto(part: string, work: Download, settings: HubSettings): Promise<void> {
  const { path, file } = work;
  let done = await sizeOf(part);
  const total = Math.max(1, Math.ceil((file.size ?? 0) / MEGABYTE));
  const step = settings.report.step(`download ${file.name} (MB)`, total);
  const expected = await retrying(
    settings,
    async () => {
      const { answer, from } = await ask(work, part, settings);
      const announced = expectation(answer, file);
      for await (const received of append(part, from, answer, announced)) {
        done = Math.max(done, received);
        step.advance(Math.min(total, Math.floor(received / MEGABYTE)));
      }
      return announced;
    },
    () => done,
  );
  await check(part, expected, work, settings);
  await rename(part, path);
  step.end();
}

/** Asks for what is missing of the file. `from`: the first byte that the answer holds. */
async function ask(
  { reference, commit, file }: Download,
  part: string,
  settings: HubSettings,
): Promise<{ answer: Answer; from: number }> {
  const have = await sizeOf(part);
  const { signal, timeout, endpoint } = settings;
  const url = new URL(`${endpoint}/${reference.id}/resolve/${commit}/${encodeURIComponent(file.name)}`);
  const range = have > 0 ? { range: `bytes=${have}-` } : undefined;
  const headers = { ...requestHeaders(settings), 'accept-encoding': 'identity', ...range };
  const answer = await get(url, { headers, signal, timeout });
  if (answer.status === 200) return { answer, from: 0 };
  const start = Number(/^bytes (\d+)-/.exec(answer.headers['content-range'] ?? '')?.[1] ?? Number.NaN);
  if (answer.status === 206 && range && start === have) return { answer, from: have };
  answer.body.destroy();
  if (answer.status === 416 || answer.status === 206) {
    // Nothing is missing, or what is there is of another file: begin anew unless it is complete.
    if (have === file.size) return { answer: { ...answer, status: 416 }, from: have };
    await rm(part, { force: true });
    throw new Transient('the server could not continue the file');
  }
  throw refusal(answer, reference, settings, file.name);
}

function expectation({ first, status }: Answer, file: HubFile): Expectation {
  const etag = /^(?:W\/)?"?([0-9a-f]{64}|[0-9a-f]{40})"?$/.exec(
    first('x-linked-etag') ?? first('etag') ?? '',
  )?.[1];
  const length = Number(first('x-linked-size') ?? (status === 200 ? first('content-length') : undefined));
  const hex = file.sha256 ?? etag;
  return {
    size: file.size ?? (Number.isFinite(length) ? length : undefined),
    digest: hex === undefined ? undefined : { kind: hex.length === 64 ? 'sha256' : 'git', hex },
  };
}

/** Writes the answer's body behind the first `from` bytes; gives the file's size after every piece. */
async function* append(
  part: string,
  from: number,
  { status, body }: Answer,
  { size }: Expectation,
): AsyncGenerator<number> {
  if (status === 416) return;
  const handle = await open(part, 'a');
  try {
    if (from === 0) await handle.truncate(0);
    let at = from;
    for await (const chunk of body) {
      await handle.write(chunk);
      at += chunk.length;
      yield at;
      if (size !== undefined && at > size) break;
    }
    if (size !== undefined && at < size) throw new Transient(`${at} of ${size} bytes arrived`);
    await handle.sync();
  } finally {
    await handle.close();
    body.destroy();
  }
}

async function check(
  part: string,
  { size, digest }: Expectation,
  { file, reference }: Download,
  { report }: HubSettings,
): Promise<void> {
  const length = await sizeOf(part);
  const found = digest && (await digestOf(part, digest.kind, length));
  const sizeIsRight = size === undefined || length === size;
  if (sizeIsRight && found === digest?.hex) {
    if (!digest) report.note(`The server gives no digest for ${file.name}; it is taken as it came.`);
    return;
  }
  await rm(part, { force: true });
  throw new Problem(
    'corrupt-download',
    sizeIsRight
      ? `${file.name} of ${reference.id} arrived with the digest ${found?.slice(0, 12)}… where ${digest?.hex.slice(0, 12)}… was announced; it was thrown away. Try again; if it stays so, the server or a proxy changes files.`
      : `${file.name} of ${reference.id} has ${length} bytes where ${size} were announced; it was thrown away. Try again.`,
    { file: file.name, expected: digest?.hex, found, size, length },
  );
}

async function digestOf(path: string, kind: 'sha256' | 'git', size: number): Promise<string> {
  const hash: Hash = kind === 'git' ? createHash('sha1').update(`blob ${size}\0`) : createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}

async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
