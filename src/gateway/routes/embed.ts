import type { Context } from 'hono';
import { type ComputeBudgetBody, ComputeBudgetSchema } from '../../budget/index.ts';
import { isProblem, Problem } from '../../problem/index.ts';
import { checkCount, requestBudget, settle } from '../embed-context.ts';
import { embedImages } from '../embed-images.ts';
import type { GatewayEnvironment } from '../environment.ts';
import { decimals, littleEndian } from '../image-input.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import type { GatewayOptions } from '../options.ts';
import { problemBody } from '../problem-response.ts';
import { readBody } from '../read-body.ts';
import { fetchTransport } from '../transport.ts';

/** What the body and the query of `POST /v1/embed` say. */
interface EmbedForm {
  readonly images: readonly Uint8Array[];
  readonly model?: string | undefined;
  readonly dimensions?: number | undefined;
  readonly normalize: boolean;
  readonly budget?: ComputeBudgetBody | undefined;
  /** Several parts were sent as a form, so the answer is a list. */
  readonly several: boolean;
}

/** `POST /v1/embed`: one image as the raw body, or several as `multipart/form-data`. */
export function embed(options: GatewayOptions) {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  return async function embed(c: Context<GatewayEnvironment>): Promise<Response> {
    const binary = wantsBytes(c.req.header('Accept'));
    const type = c.req.header('Content-Type') ?? '';
    checkMediaType(type, options.decoder.mediaTypes);
    const bytes = await readBody(c, limits, options);
    const received = options.clock.now();
    c.get('notes').receivedMs = received - c.get('arrived');
    const form = /^multipart\//i.test(type) ? await readForm(bytes, type, c) : readQuery(bytes, c);
    checkCount(form.images.length, limits);
    const model = options.registry.get(form.model);
    c.get('notes').model = model.name;
    const budget = requestBudget(c, form.budget);
    const results = await embedImages(
      options,
      {
        model,
        budget,
        vector: form,
        tier: c.get('tier'),
        received,
        arrived: c.get('arrived'),
        signal: (options.transport ?? fetchTransport).signal(c),
      },
      form.images.map((image) => async () => ({ bytes: image, fetchMs: 0 })),
    );
    settle(c, results, { budget, elapsedMs: options.clock.now() - received, all: binary });
    if (binary) {
      const vectors = results.flatMap((result) => ('vector' in result ? [littleEndian(result.vector)] : []));
      const body = new Uint8Array(vectors.reduce((sum, vector) => sum + vector.length, 0));
      vectors.reduce((at, vector) => {
        body.set(vector, at);
        return at + vector.length;
      }, 0);
      return c.body(body, 200, { 'Content-Type': 'application/octet-stream' });
    }
    const answers = results.map((result) =>
      'problem' in result
        ? { error: problemBody(result.problem, c.get('requestId')).error }
        : {
            embedding: decimals(result.vector),
            level: result.record.level,
            flops: result.record.flops,
            fidelity: result.record.fidelity,
          },
    );
    return c.json(form.several ? { model: model.name, data: answers } : { model: model.name, ...answers[0] });
  };
}

function wantsBytes(accept = '*/*'): boolean {
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

function checkMediaType(type: string, mediaTypes: readonly string[]): void {
  const name = type.split(';')[0]?.trim().toLowerCase() ?? '';
  const accepted = [...mediaTypes, 'multipart/form-data', 'application/octet-stream', ''];
  // The bytes decide what an image is; the type only has to be one of ours, or none.
  if (accepted.includes(name)) return;
  throw new Problem(
    'unsupported-media-type',
    `/v1/embed takes ${mediaTypes.join(', ')} or multipart/form-data, not "${name.slice(0, 60)}". JSON goes to /v1/embeddings.`,
  );
}

function readQuery(bytes: Uint8Array, c: Context<GatewayEnvironment>): EmbedForm {
  if (bytes.length === 0)
    throw new Problem('malformed-body', 'The body is empty. Send an image: curl --data-binary @image.jpg …');
  return {
    images: [bytes],
    model: c.req.query('model'),
    dimensions: whole(c.req.query('dimensions')),
    normalize: flag(c.req.query('normalize')),
    several: false,
  };
}

async function readForm(
  bytes: Uint8Array<ArrayBuffer>,
  type: string,
  c: Context<GatewayEnvironment>,
): Promise<EmbedForm> {
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
    model: fields.get('model') ?? c.req.query('model'),
    dimensions: whole(fields.get('dimensions') ?? c.req.query('dimensions')),
    normalize: flag(fields.get('normalize') ?? c.req.query('normalize')),
    budget: budgetField(fields.get('compute_budget')),
    several: true,
  };
}

function budgetField(text: string | undefined): ComputeBudgetBody | undefined {
  if (text === undefined) return undefined;
  try {
    return ComputeBudgetSchema.parse(JSON.parse(text));
  } catch (cause) {
    if (isProblem(cause)) throw cause;
    throw new Problem(
      'malformed-budget',
      'The field compute_budget is not a budget. It looks like {"latency": 40, "flops": 0.7}.',
      { position: 0 },
      { cause },
    );
  }
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
