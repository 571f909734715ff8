import type { Context } from 'hono';
import { type Budget, parseBudgetHeader, tightest } from '../budget/index.ts';
import { Problem } from '../problem/index.ts';
import type { ServedModel } from '../serving/index.ts';
import { answerHeaders, leastFaithful } from './answer-headers.ts';
import type { Asked, Dialect, Rendered } from './dialects/dialect.ts';
import { answeredElsewhere } from './elsewhere.ts';
import { type EmbeddedImage, embedImages } from './embed-images.ts';
import type { GatewayEnvironment } from './environment.ts';
import type { HeldLease } from './held-bytes.ts';
import { type ImageItem, openImage } from './image-input.ts';
import { type Limits, resolveLimits } from './limits.ts';
import type { GatewayParts } from './options.ts';
import type { VectorOptions } from './project.ts';
import { readBody } from './read-body.ts';
import type { ItemRecord } from './record.ts';
import type { Handler, Route } from './route.ts';

/** The route of a dialect: from the first byte of a request to its answer, the same for all of them. */
export function imageRoute<A extends Asked>(dialect: Dialect<A>): Route {
  const { path, operation, schemas, problem } = dialect;
  return {
    method: 'POST',
    path,
    access: 'keyed',
    needs: 'budget',
    ...(operation && { operation }),
    ...(schemas && { schemas }),
    ...(problem && { problem }),
    handler: (parts) => serveImages(parts, dialect),
  };
}

function serveImages<A extends Asked>(parts: GatewayParts, dialect: Dialect<A>): Handler {
  const { held } = parts;
  const answer = answerer(parts, dialect);
  return async function serveImages(c) {
    const lease = held.lease();
    try {
      return await answer(c, lease);
    } finally {
      lease.release();
    }
  };
}

type Answerer = (c: Context<GatewayEnvironment>, lease: HeldLease) => Promise<Response>;

function answerer<A extends Asked>(parts: GatewayParts, dialect: Dialect<A>): Answerer {
  const { clock, registry, scheduler, transport, elsewhere } = parts;
  return async function answer(c, lease) {
    const firstByte = c.get('firstByte');
    const notes = c.get('notes');
    dialect.accept?.(c.req, parts);
    const tier = c.get('tier');
    const limits = resolveLimits(scheduler.tiers[tier]?.limits, parts.limits);
    const declared = Number(c.req.header('Content-Length') ?? 0);
    const passed = elsewhere && (await answeredElsewhere(elsewhere, c, { tier, firstByte, declared }));
    if (passed) return passed;
    const body = await readBody(c, parts, limits, lease);
    const bodyComplete = clock.now();
    notes.receivedMs = bodyComplete - firstByte;
    const asked = await dialect.parse(body, c.req);
    checkCount(asked.images.length, limits);
    const model = registry.get(asked.model);
    notes.model = model.name;
    const budget = requestBudget(c, asked.budget);
    const { vector } = asked;
    const signal = transport.signal(c);
    const { failure } = asked;
    const { pixels: maxPixels } = limits;
    const request = { model, budget, vector, tier, failure, maxPixels, firstByte, bodyComplete, signal };
    let { images } = asked;
    if (elsewhere) {
      images = await openAll(images, signal);
      const pictures = images.filter((image) => image instanceof Uint8Array);
      const read = { bytes: body, bodyComplete, model, budget, pictures };
      const sent = await answeredElsewhere(elsewhere, c, { tier, firstByte, declared, read });
      if (sent) return sent;
    }
    const [results, space] = await Promise.all([embedImages(parts, request, images), spaceOf(model, vector)]);
    settle(c, results, { budget, failure, images: images.length });
    c.header('Embedding-Space', space);
    return respond(c, dialect.render({ requestId: c.get('requestId'), model, space, results }, asked));
  };
}

/** Opens what is here already; what would have to be fetched, or cannot be opened, stays as it is. */
async function openAll(images: readonly ImageItem[], signal: AbortSignal): Promise<ImageItem[]> {
  return await Promise.all(
    images.map((item) =>
      openImage(item, undefined, signal).then(
        ({ bytes }) => bytes,
        () => item,
      ),
    ),
  );
}

/** The header, and the same under a name that proxies pass on. */
const BUDGET_HEADERS = ['Compute-Budget', 'X-Compute-Budget'];

/** The budget of the headers and of the body together: the tightest of each term. */
function requestBudget(c: Context<GatewayEnvironment>, inBody: Budget = {}): Budget {
  const budgets = BUDGET_HEADERS.map((name) => parseBudgetHeader(c.req.header(name) ?? ''));
  return budgets.reduce(tightest, inBody);
}

/** Principal components are coordinates of their own. */
async function spaceOf(model: ServedModel, { dimensions }: VectorOptions): Promise<string> {
  const whole = dimensions === undefined || dimensions === model.config.embeddingWidth;
  return await (whole ? model.space() : model.componentSpace());
}

function checkCount(count: number, { inputs }: Limits): void {
  if (count > inputs)
    throw new Problem(
      'too-many-inputs',
      `One request takes at most ${inputs} images; this one has ${count}. Send them in several requests.`,
      { limit: inputs },
    );
}

/**
 * Writes down what the images got, for headers, logs and metrics.
 * @throws the first image's Problem when no image was embedded, or any at all where that fails the request
 */
function settle(
  c: Context<GatewayEnvironment>,
  results: readonly EmbeddedImage[],
  asked: {
    readonly budget: Budget;
    readonly failure: Asked['failure'];
    readonly images: number;
  },
): void {
  const items: ItemRecord[] = [];
  const problems: { readonly problem: Problem; readonly index: number }[] = [];
  results.forEach((result, index) => {
    if ('problem' in result) problems.push({ problem: result.problem, index });
    else items.push(result.record);
  });
  const notes = c.get('notes');
  notes.items = items;
  const least = leastFaithful(items);
  if (least) notes.limitedBy = least.limitedBy;
  const target = asked.budget.latency?.value;
  if (target !== undefined) notes.budgetMet = items.length > 0 && items.every(({ ownMs }) => ownMs <= target);
  const [first] = problems;
  if (first && (asked.failure === 'request' || items.length === 0))
    throw asked.images > 1 ? ofImage(first.problem, first.index) : first.problem;
  if (first) notes.code = first.problem.code;
  for (const [name, value] of Object.entries(answerHeaders(items))) c.header(name, value);
}

/** A problem of one image among several: which one, counted from 0. */
function ofImage({ code, message, details, cause }: Problem, index: number): Problem {
  return new Problem(code, `Image ${index} (counted from 0): ${message}`, { ...details, index }, { cause });
}

function respond(c: Context<GatewayEnvironment>, { body, headers = {} }: Rendered): Response {
  for (const [name, value] of Object.entries(headers)) c.header(name, value);
  if (!(body instanceof Uint8Array)) return c.json(body);
  return c.body(body, 200, { 'Content-Type': headers['Content-Type'] ?? 'application/octet-stream' });
}
