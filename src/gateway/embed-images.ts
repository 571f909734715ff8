import type { Budget } from '../budget/index.ts';
import { Problem } from '../problem/index.ts';
import type { ServedModel } from '../serving/index.ts';
import type { ImageInput } from './image-input.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';
import type { GatewayOptions } from './options.ts';
import { asProblem } from './problem-response.ts';
import { checkDimensions, project, type VectorOptions } from './project.ts';
import type { ItemRecord } from './record.ts';

/** Images of one request that are decoded or wait at the same time: a large batch must not fill its tier's queue. */
const IN_FLIGHT = 16;

export interface EmbedImages {
  readonly model: ServedModel;
  readonly budget: Budget;
  readonly vector: VectorOptions;
  readonly tier: string;
  /** When the request's body was complete, on the clock, ms. Latency counts from here: upload time is the caller's. */
  readonly received: number;
  /** When its first byte was seen; deadlines count from here. */
  readonly arrived: number;
  readonly signal: AbortSignal;
}

/** An image's answer: a vector, or what went wrong with it alone. */
export type EmbeddedImage =
  | { readonly vector: Float32Array; readonly record: ItemRecord }
  | { readonly problem: Problem };

/** Embeds the images of one request, in order. What fails for one image does not sink the others. */
export async function embedImages(
  options: GatewayOptions,
  request: EmbedImages,
  inputs: readonly (() => Promise<ImageInput>)[],
): Promise<EmbeddedImage[]> {
  // Counted in from here, while it is decoded too: a gateway that drains and a model that is replaced wait for it.
  const leaveGateway = options.scheduler.enter();
  const leaveModel = request.model.enter();
  try {
    return await embedEntered(options, request, inputs);
  } finally {
    leaveModel();
    leaveGateway();
  }
}

async function embedEntered(
  options: GatewayOptions,
  request: EmbedImages,
  inputs: readonly (() => Promise<ImageInput>)[],
): Promise<EmbeddedImage[]> {
  checkDimensions(request.model, request.vector.dimensions);
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const budget = sinceReceived(request);
  const results: EmbeddedImage[] = [];
  let next = 0;
  const worker = async () => {
    while (next < inputs.length) {
      const index = next++;
      const input = inputs[index];
      if (input) results[index] = await embedOne(options, limits, { ...request, budget }, input);
    }
  };
  const queue = options.scheduler.tiers[request.tier]?.queue ?? IN_FLIGHT;
  await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, queue, inputs.length) }, worker));
  return results;
}

async function embedOne(
  { decoder, scheduler, clock }: GatewayOptions,
  limits: Limits,
  { model, budget, vector, tier, received, arrived, signal }: EmbedImages,
  input: () => Promise<ImageInput>,
): Promise<EmbeddedImage> {
  const started = clock.now();
  try {
    const { bytes, fetchMs } = await input();
    if (bytes.length === 0) throw new Problem('undecodable-image', 'The image is empty: 0 bytes arrived.');
    const began = clock.now();
    const pixels = await decoder.decode(bytes, model.config, { maxPixels: limits.pixels, signal });
    const decodeMs = clock.now() - began;
    const answer = await scheduler.embed({
      model,
      pixels,
      budget,
      tier,
      arrived: received,
      entered: true,
      signal,
    });
    const { level, precision, flops, fidelity, limitedBy, predicted } = answer.plan;
    return {
      vector: project(answer.embedding, model.components, vector),
      record: {
        level,
        precision,
        flops,
        fidelity,
        limitedBy,
        predicted,
        beganMs: started - arrived,
        inferMs: answer.inferred,
        queueMs: answer.queued,
        decodeMs,
        fetchMs,
      },
    };
  } catch (error) {
    if (signal.aborted)
      return { problem: new Problem('client-closed-request', 'The caller went away.', {}, { cause: error }) };
    return { problem: asProblem(error) };
  }
}

/** The scheduler counts from when the body was complete: what uploading took comes off the deadline. */
function sinceReceived({ budget, received, arrived }: EmbedImages): Budget {
  const { deadline } = budget;
  if (!deadline) return budget;
  const left = deadline.value - (received - arrived);
  if (left <= 0)
    throw new Problem(
      'deadline-exceeded',
      `The deadline of ${deadline.value} ms passed while the body was on its way.`,
      { deadline: deadline.value },
    );
  return { ...budget, deadline: { ...deadline, value: left } };
}
