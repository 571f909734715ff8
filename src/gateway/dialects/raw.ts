import { type Budget, budgetFromBody } from '../../budget/index.ts';
import { isProblem, Problem } from '../../problem/index.ts';
import { parseBoundedJson } from '../bounded-json.ts';
import { decimals, littleEndian } from '../image-input.ts';
import { imageType } from '../image-type.ts';
import { embedOperation, query } from '../operation.ts';
import { problemBody } from '../problem-response.ts';
import type { Route } from '../route.ts';
import { imageRoute } from '../serve-images.ts';
import type { Answer, Asked, Dialect, Head } from './dialect.ts';

export interface AskedRaw extends Asked {
  /** Several parts were sent as a form, so the answer is a list. */
  readonly several: boolean;
}

const binary = { type: 'string', format: 'binary' };

/** `/v1/embed`, which other addresses take too. */
export const embed: Dialect<AskedRaw> = {
  path: '/v1/embed',
  operation: embedOperation({
    operationId: 'embed',
    summary: 'Embed raw image bytes, or a form of several images',
    parameters: [
      query('model', { type: 'string' }, 'Name of a model; the only or default one if absent'),
      query('dimensions', { type: 'integer', minimum: 1 }, 'The first so many principal components'),
      query('normalize', { type: 'boolean', default: true }, 'Scale the embedding to length 1'),
    ],
    request: {
      'image/*': binary,
      'multipart/form-data': {
        type: 'object',
        properties: {
          image: { type: 'array', items: binary },
          compute_budget: { type: 'string', description: 'JSON' },
        },
      },
    },
    description: 'The embedding; a list under `data` for a form.',
    answer: {
      'application/json': {
        type: 'object',
        properties: {
          model: { type: 'string' },
          embedding_space: { type: 'string' },
          embedding: { type: 'array', items: { type: 'number' } },
          level: { type: 'integer' },
          flops: { type: 'number' },
          fidelity: { type: 'number' },
        },
      },
      'application/octet-stream': { ...binary, description: 'float32, little-endian' },
    },
    problems: ['not-acceptable'],
  }),
  accept: (head) => void wantsBytes(head),
  async parse(bytes, head) {
    const type = head.header('Content-Type') ?? '';
    const asked = /^multipart\//i.test(type) ? await readForm(bytes, type, head) : readQuery(bytes, head);
    // Bytes have no room for a problem beside them.
    return { ...asked, failure: wantsBytes(head) ? 'request' : 'item' };
  },
  render: (answer, { several, failure }) => ({
    body: failure === 'request' ? allBytes(answer) : asJson(answer, several),
  }),
};

/** Images of one form, its fields and its end. */
const MOST_PARTS = 2100;

/** One image as the raw body, or several as `multipart/form-data`. */
export const raw: readonly Route[] = [imageRoute(embed)];

function allBytes({ results }: Answer): Uint8Array<ArrayBuffer> {
  const vectors = results.flatMap((result) => ('vector' in result ? [littleEndian(result.vector)] : []));
  const body = new Uint8Array(vectors.reduce((sum, vector) => sum + vector.length, 0));
  let at = 0;
  for (const vector of vectors) {
    body.set(vector, at);
    at += vector.length;
  }
  return body;
}

function asJson({ model, space, results, requestId }: Answer, several: boolean): object {
  const answers = results.map((result) =>
    'problem' in result
      ? { error: problemBody(result.problem, requestId).error }
      : {
          embedding: decimals(result.vector),
          level: result.record.level,
          flops: result.record.flops,
          fidelity: result.record.fidelity,
        },
  );
  const head = { model: model.name, embedding_space: space };
  return several ? { ...head, data: answers } : { ...head, ...answers[0] };
}

/** @throws Problem('not-acceptable') */
function wantsBytes(head: Head): boolean {
  const accept = head.header('Accept') ?? '*/*';
  const wanted = accept.split(',').map((part) => part.trim().split(';')[0]?.toLowerCase());
  const json = wanted.some(
    (type) => type === '*/*' || type === 'application/*' || type === 'application/json',
  );
  const bytes = wanted.includes('application/octet-stream');
  if (bytes && wanted.indexOf('application/octet-stream') <= Math.max(0, wanted.indexOf('application/json')))
    return true;
  if (json) return false;
  if (bytes) return true;
  throw new Problem(
    'not-acceptable',
    'Embeddings are given as application/json or application/octet-stream (float32, little-endian).',
  );
}

/**
 * The bytes decide what an image is: curl says `application/x-www-form-urlencoded`, stores `binary/octet-stream`, some programs
 * `image/jpg`. Only what is no picture and says so is refused for its type.
 */
function checkMediaType(type: string, bytes: Uint8Array): void {
  if (imageType(bytes) !== undefined) return;
  const name = type.split(';')[0]?.trim().toLowerCase() ?? '';
  if (!/^text\/|json$|xml$|html$/.test(name)) return;
  throw new Problem(
    'unsupported-media-type',
    `/v1/embed takes the bytes of a picture or multipart/form-data, not "${name.slice(0, 60)}". JSON goes to /v1/embeddings.`,
  );
}

type Form = Omit<AskedRaw, 'failure'>;

function readQuery(bytes: Uint8Array, head: Head): Form {
  if (bytes.length === 0)
    throw new Problem('malformed-body', 'The body is empty. Send an image: curl --data-binary @image.jpg …');
  checkMediaType(head.header('Content-Type') ?? '', bytes);
  return {
    images: [bytes],
    model: head.query('model'),
    vector: vectorOf((name) => head.query(name)),
    several: false,
  };
}

async function readForm(bytes: Uint8Array<ArrayBuffer>, type: string, head: Head): Promise<Form> {
  checkParts(bytes, type);
  let form: FormData;
  try {
    form = await new Response(bytes, { headers: { 'Content-Type': type } }).formData();
  } catch (cause) {
    throw new Problem(
      'malformed-body',
      'The multipart body cannot be read. Send each image as a file part: curl -F image=@a.jpg -F image=@b.jpg …',
      {},
      { cause },
    );
  }
  const images: Uint8Array[] = [];
  const fields = new Map<string, string>();
  for (const [name, value] of form) {
    if (typeof value === 'string') fields.set(name, value);
    else images.push(new Uint8Array(await value.arrayBuffer()));
  }
  if (images.length === 0)
    throw new Problem('malformed-body', 'The form has no file part. Send images: curl -F image=@a.jpg …');
  return {
    images,
    model: fields.get('model') ?? head.query('model'),
    vector: vectorOf((name) => fields.get(name) ?? head.query(name)),
    budget: budgetField(fields.get('compute_budget')),
    several: true,
  };
}

/**
 * Parts are counted before any of them becomes an object.
 * @throws Problem('too-many-inputs')
 */
function checkParts(bytes: Uint8Array, type: string): void {
  const [, quoted, bare] = /boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(type) ?? [];
  const boundary = quoted ?? bare;
  if (boundary === undefined) return;
  const text = new TextDecoder('latin1').decode(bytes);
  let parts = 0;
  for (
    let at = text.indexOf(`--${boundary}`);
    at >= 0;
    at = text.indexOf(`--${boundary}`, at + boundary.length)
  )
    if (++parts > MOST_PARTS)
      throw new Problem(
        'too-many-inputs',
        `The form has more than ${MOST_PARTS} parts. Send the images in several requests.`,
        { limit: MOST_PARTS },
      );
}

function vectorOf(field: (name: string) => string | undefined): AskedRaw['vector'] {
  return { dimensions: whole(field('dimensions')), normalize: flag(field('normalize')) };
}

/** JSON, or the header's text. */
function budgetField(text: string | undefined): Budget | undefined {
  if (text === undefined) return undefined;
  if (!text.trimStart().startsWith('{')) return budgetFromBody(text);
  let budget: unknown;
  try {
    budget = parseBoundedJson(new TextEncoder().encode(text));
  } catch (cause) {
    if (isProblem(cause)) throw cause;
    throw new Problem(
      'malformed-budget',
      'compute_budget: it is not JSON. A budget looks like {"latency": 40, "flops": 0.7}.',
      { path: 'compute_budget' },
      { cause },
    );
  }
  return budgetFromBody(budget);
}

function whole(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text);
  throw new Problem('malformed-body', `dimensions: "${text.slice(0, 20)}" is not a positive whole number.`);
}

function flag(text: string | undefined): boolean {
  if (text === undefined || text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw new Problem('malformed-body', `normalize: "${text.slice(0, 20)}" is neither true nor false.`);
}
