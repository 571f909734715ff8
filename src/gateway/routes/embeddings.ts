import type { Context } from 'hono';
import type { z } from 'zod';
import { Problem } from '../../problem/index.ts';
import { checkCount, requestBudget, settle } from '../embed-context.ts';
import { type EmbeddedImage, embedImages } from '../embed-images.ts';
import type { GatewayEnvironment } from '../environment.ts';
import { decimals, encodeBase64, imageFromText } from '../image-input.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import type { GatewayOptions } from '../options.ts';
import { problemBody } from '../problem-response.ts';
import { readBody } from '../read-body.ts';
import { EmbeddingsRequestSchema, type EmbeddingsResponse } from '../request-schemas.ts';
import { fetchTransport } from '../transport.ts';

/** `POST /v1/embeddings`: OpenAI's shape; one or many images, each with its own outcome. */
export function embeddings(options: GatewayOptions) {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  return async function embeddings(c: Context<GatewayEnvironment>): Promise<Response> {
    const type = c.req.header('Content-Type') ?? 'application/json';
    if (!/^application\/(?:[\w.+-]+\+)?json\b/i.test(type))
      throw new Problem(
        'unsupported-media-type',
        `/v1/embeddings takes application/json, not ${type.slice(0, 60)}. Send raw images to /v1/embed.`,
      );
    const bytes = await readBody(c, limits, options);
    const received = options.clock.now();
    c.get('notes').receivedMs = received - c.get('arrived');
    const body = parse(bytes);
    const inputs = (Array.isArray(body.input) ? body.input : [body.input]).map((item) =>
      typeof item === 'string' ? item : item.image,
    );
    checkCount(inputs.length, limits);
    const model = options.registry.get(body.model);
    c.get('notes').model = model.name;
    const budget = requestBudget(c, body.compute_budget);
    const signal = (options.transport ?? fetchTransport).signal(c);
    const results = await embedImages(
      options,
      {
        model,
        budget,
        vector: { dimensions: body.dimensions, normalize: body.normalize },
        tier: c.get('tier'),
        received,
        arrived: c.get('arrived'),
        signal,
      },
      inputs.map((text) => () => imageFromText(text, options.fetchImage, signal)),
    );
    settle(c, results, { budget, elapsedMs: options.clock.now() - received, all: false });
    const { patches } = tokens(model.config);
    const answer: EmbeddingsResponse = {
      object: 'list',
      model: model.name,
      data: results.map((result, index) => item(result, index, body.encoding_format, c.get('requestId'))),
      usage: { prompt_tokens: patches * inputs.length, total_tokens: patches * inputs.length },
    };
    return c.json(answer);
  };
}

/** What OpenAI calls prompt tokens: the patches that the network looks at. */
function tokens({ imageSize, patchSize }: { imageSize: number; patchSize: number }): { patches: number } {
  return { patches: Math.floor(imageSize / patchSize) ** 2 };
}

function item(
  result: EmbeddedImage,
  index: number,
  format: 'float' | 'base64',
  requestId: string,
): EmbeddingsResponse['data'][number] {
  const empty = format === 'base64' ? '' : [];
  if ('problem' in result) {
    const { error } = problemBody(result.problem, requestId) as Pick<
      EmbeddingsResponse['data'][number],
      'error'
    >; // its shape
    return { object: 'embedding', index, embedding: empty, ...(error && { error }) };
  }
  const { vector, record } = result;
  return {
    object: 'embedding',
    index,
    embedding: format === 'base64' ? encodeBase64(vector) : decimals(vector),
    level: record.level,
    flops: record.flops,
    fidelity: record.fidelity,
  };
}

function parse(bytes: Uint8Array): z.infer<typeof EmbeddingsRequestSchema> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new Problem(
      'malformed-body',
      bytes.length === 0
        ? 'The body is empty. Send {"input": "data:image/jpeg;base64,…"}.'
        : 'The body is not JSON. Send {"input": "data:image/jpeg;base64,…"}, or a raw image to /v1/embed.',
      {},
      { cause },
    );
  }
  const parsed = EmbeddingsRequestSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }));
  const budget = issues.find(({ path }) => /^compute_budget\b/.test(path));
  if (budget)
    throw new Problem(
      'malformed-budget',
      `${budget.path}: ${budget.message}. A budget looks like {"latency": 40, "flops": 0.7}, or {"latency": {"value": 40, "strict": true}}.`,
      { path: budget.path },
    );
  throw new Problem(
    'malformed-body',
    `${issues[0]?.path || 'The body'}: ${issues[0]?.message}. Expected {"model"?, "input", "encoding_format"?, "dimensions"?, "compute_budget"?}.`,
    { issues: issues.slice(0, 10) },
  );
}
