import type { Context } from 'hono';
import {
  type Budget,
  budgetFromBody,
  type ComputeBudgetBody,
  parseBudgetHeader,
  tightest,
} from '../budget/index.ts';
import { Problem } from '../problem/index.ts';
import { answerHeaders, leastFaithful } from './answer-headers.ts';
import type { EmbeddedImage } from './embed-images.ts';
import type { GatewayEnvironment } from './environment.ts';
import type { Limits } from './limits.ts';
import type { ItemRecord } from './record.ts';

/** The budget of the header and of the body together: the tightest of each term. */
export function requestBudget(c: Context<GatewayEnvironment>, body?: ComputeBudgetBody): Budget {
  const header = c.req.header('Compute-Budget');
  return tightest(header ? parseBudgetHeader(header) : {}, budgetFromBody(body));
}

export function checkCount(count: number, limits: Limits): void {
  if (count > limits.inputs)
    throw new Problem(
      'too-many-inputs',
      `One request takes at most ${limits.inputs} images; this one has ${count}. Send them in several requests.`,
      { limit: limits.inputs },
    );
}

/**
 * Writes down what the images got, for headers, logs and metrics.
 * @throws the first image's Problem when no image was embedded, or any at all where `all` must succeed
 */
export function settle(
  c: Context<GatewayEnvironment>,
  results: readonly EmbeddedImage[],
  asked: { readonly budget: Budget; readonly elapsedMs: number; readonly all: boolean },
): void {
  const items: ItemRecord[] = [];
  const problems: Problem[] = [];
  for (const result of results) {
    if ('problem' in result) problems.push(result.problem);
    else items.push(result.record);
  }
  const notes = c.get('notes');
  notes.items = items;
  const least = leastFaithful(items);
  if (least) notes.limitedBy = least.limitedBy;
  const target = asked.budget.latency?.value;
  if (target !== undefined) notes.budgetMet = items.length > 0 && asked.elapsedMs <= target;
  const [first] = problems;
  if (first && (asked.all || items.length === 0)) throw first;
  if (first) notes.code = first.code;
  for (const [name, value] of Object.entries(answerHeaders(items))) c.header(name, value);
}
