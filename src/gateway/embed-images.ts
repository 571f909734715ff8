import type { Budget } from '../budget/index.ts';
import { Problem } from '../problem/index.ts';
import type { ServedModel } from '../serving/index.ts';
import { type ImageItem, openImage } from './image-input.ts';
import type { GatewayParts } from './options.ts';
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

/** Embeds the images of one request, in order. What fails for one image does not sink the others. */
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
  const worker = async () => {
    while (next < images.length) {
      const index = next++;
      const image = images[index];
      if (image !== undefined) results[index] = await embedOne(parts, request, image);
    }
  };
  const queue = parts.scheduler.tiers[request.tier]?.queue ?? IN_FLIGHT;
  await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, queue, images.length) }, worker));
  return results;
}

async function embedOne(
  { decoder, scheduler, clock, limits, fetchImage }: GatewayParts,
  { model, budget, vector, tier, firstByte, bodyComplete, signal }: EmbedImages,
  image: ImageItem,
): Promise<EmbeddedImage> {
  const started = clock.now();
  try {
    const { bytes, fetchMs } = await openImage(image, fetchImage, signal);
    if (bytes.length === 0) throw new Problem('undecodable-image', 'The image is empty: 0 bytes arrived.');
    const pictures = { maxPixels: limits.pixels };
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
    const decodedMs = clock.now() - began;
    const answer = await scheduler.embed({
      model,
      pixels,
      budget,
      tier,
      firstByte,
      bodyComplete,
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
        beganMs: started - firstByte,
        inferMs: answer.inferred,
        queueMs: answer.queued,
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
