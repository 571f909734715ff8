import type { Budget } from '../budget/index.ts';
import { Problem } from '../problem/index.ts';
import type { ServedModel } from '../serving/index.ts';
import { checkType, type ImageItem, openImage } from './image-input.ts';
import type { GatewayParts } from './options.ts';
import { asProblem } from './problem-response.ts';
import { checkDimensions, project, type VectorOptions } from './project.ts';
import type { ItemRecord } from './record.ts';

/** Images of one request that are in work at the same time: fetched, and decoded where that is not the scheduler's work. */
const IN_FLIGHT = 16;

export interface EmbedImages {
  readonly model: ServedModel;
  readonly budget: Budget;
  readonly vector: VectorOptions;
  readonly tier: string;
  /** Pixels of one encoded image. */
  readonly maxPixels: number;
  /** What one image's failure does: nothing is begun after it, or the others are embedded all the same. */
  readonly failure: 'request' | 'item';
  /** When the request's first byte was seen, on the clock, ms. Deadlines count from here. */
  readonly firstByte: number;
  /** When its body was complete. Latency counts from here: upload time is the caller's. */
  readonly bodyComplete: number;
  readonly signal: AbortSignal;
}

/** An image's answer: a vector, or what went wrong with it alone. */
export type EmbeddedImage =
  | { readonly vector: Float32Array; readonly record: ItemRecord }
  | { readonly problem: Problem };

/**
 * Embeds the images of one request, in order. Every image gets what it would get alone: those of the same request are no pressure
 * on it, and what it waits for them is not its own time, though deadlines bind all of them. Only as many as can run at a time are
 * offered to the scheduler, so that a large batch does not fill its tier's queue.
 * @returns as many results as there are images; where one failure fails the request, those that were not begun are missing
 */
export async function embedImages(
  parts: GatewayParts,
  request: EmbedImages,
  images: readonly ImageItem[],
): Promise<EmbeddedImage[]> {
  // Counted in from here, while it is decoded too: a gateway that drains and a model that is replaced wait for it.
  const leaveGateway = parts.scheduler.enter();
  const leaveModel = request.model.enter();
  try {
    return await embedEntered(parts, request, images);
  } finally {
    leaveModel();
    leaveGateway();
  }
}

async function embedEntered(
  parts: GatewayParts,
  request: EmbedImages,
  images: readonly ImageItem[],
): Promise<EmbeddedImage[]> {
  checkDimensions(request.model, request.vector.dimensions);
  checkDeadline(request);
  const results: EmbeddedImage[] = [];
  let next = 0;
  let failed = false;
  const { clock, scheduler } = parts;
  const width = scheduler.width(request.model);
  const { concurrency = width, queue = width } = scheduler.tiers[request.tier] ?? {};
  const lane: Lane = { began: clock.now(), offer: turnstile(Math.min(width, concurrency, queue)) };
  const worker = async () => {
    while (next < images.length && !(request.failure === 'request' && failed)) {
      const index = next++;
      const image = images[index];
      if (image === undefined) continue;
      const result = await embedOne(parts, request, image, lane);
      results[index] = result;
      failed ||= 'problem' in result;
    }
  };
  await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, images.length) }, worker));
  return results;
}

/** What the images of a request share. */
interface Lane {
  /** When the first of them was begun. */
  readonly began: number;
  /** Waits for a place at the scheduler; gives what gives it back. */
  readonly offer: () => Promise<() => void>;
}

/** Lets so many in at a time, in the order in which they come. @returns waits to be let in; gives what lets the next one in */
function turnstile(width: number): () => Promise<() => void> {
  const waiting: (() => void)[] = [];
  let inside = 0;
  const leave = () => {
    const next = waiting.shift();
    // Whoever leaves gives the place to the next one.
    if (next) next();
    else inside--;
  };
  return async function enter() {
    if (inside < width) inside++;
    else await new Promise<void>((done) => waiting.push(done));
    return leave;
  };
}

async function embedOne(
  { decoder, scheduler, clock, fetchImage }: GatewayParts,
  request: EmbedImages,
  image: ImageItem,
  lane: Lane,
): Promise<EmbeddedImage> {
  const { model, budget, vector, tier, firstByte, signal, maxPixels } = request;
  const started = clock.now();
  try {
    const { bytes, fetchMs } = await openImage(image, fetchImage, signal);
    if (bytes.length === 0) throw new Problem('undecodable-image', 'The image is empty: 0 bytes arrived.');
    checkType(bytes, decoder.mediaTypes);
    const pictures = { maxPixels };
    const expected = decoder.expect?.(bytes, pictures);
    const began = clock.now();
    const pixels = expected
      ? {
          predicted: expected.ms,
          apart: expected.apart,
          decode: (aborted?: AbortSignal) =>
            decoder.decode(bytes, model.config, { ...pictures, ...(aborted && { signal: aborted }) }),
        }
      : await decoder.decode(bytes, model.config, { ...pictures, signal });
    const offered = clock.now();
    const decodedMs = offered - began;
    const leave = await lane.offer();
    const behindMs = clock.now() - offered;
    // As if it had been sent alone, not behind images of the same request.
    const bodyComplete = request.bodyComplete + (started - lane.began) + behindMs;
    const answer = await scheduler
      .embed({
        model,
        pixels,
        budget,
        tier,
        firstByte,
        bodyComplete,
        entered: true,
        batch: request,
        signal,
      })
      .finally(leave);
    const { level, precision, flops, fidelity, limitedBy, predicted } = answer.plan;
    const gflops = (model.ladder[level]?.flops ?? Number.NaN) / 1e9;
    return {
      vector: project(answer.embedding, model.components, vector),
      record: {
        level,
        precision,
        flops,
        gflops,
        fidelity,
        limitedBy,
        predicted,
        beganMs: started - firstByte,
        inferMs: answer.inferred,
        queueMs: behindMs + answer.queued,
        ownMs: clock.now() - bodyComplete,
        decodeMs: decodedMs + answer.decoded,
        fetchMs,
      },
    };
  } catch (error) {
    if (signal.aborted)
      return { problem: new Problem('client-closed-request', 'The caller went away.', {}, { cause: error }) };
    return { problem: asProblem(error) };
  }
}

/** Nothing is decoded for an answer that is worthless already. @throws Problem('deadline-exceeded') */
function checkDeadline({ budget: { deadline }, firstByte, bodyComplete }: EmbedImages): void {
  if (deadline && bodyComplete - firstByte >= deadline.value)
    throw new Problem(
      'deadline-exceeded',
      `The deadline of ${deadline.value} ms passed while the body was on its way.`,
      { deadline: deadline.value },
    );
}
