import type { PictureHeader, PictureType } from './picture-header.ts';

/**
 * Processor time of decoding to a few hundred pixels a side, ms: of any picture, of a million pixels in one pass, and of a million
 * bytes. Measured on photographs of 0.2 to 12 million pixels (one core of a 2.1 GHz Xeon); what a machine really takes is learnt.
 */
const COSTS: Readonly<Record<PictureType, readonly [any: number, pixels: number, bytes: number]>> = {
  jpeg: [2.5, 2, 5],
  png: [3, 13, 3],
  webp: [3, 25, 10],
  avif: [4, 65, 10],
  gif: [3, 13, 1],
  tiff: [3, 13, 2],
};
/** A JPEG in several scans is held as coefficients, and gone over for each: so many times the cost of one pass, and more for each. */
const [PROGRESSIVE, EACH_SCAN] = [3, 0.3];
/** Rows have a cost of their own, ms for each. */
const ROW = 0.001;
/** Weight of an observation, and how far one may be from what was expected to count: as in a latency profile. */
const RATE = 0.05;
const CLAMP = 3;

/** Expected processor time on the machine of the table, ms. */
export function decodeCost({ type, width, height, passes, deep }: PictureHeader, bytes: number): number {
  const [any, pixels, data] = COSTS[type];
  const megapixels = (width * height) / 1e6;
  const several = type === 'jpeg' ? PROGRESSIVE + EACH_SCAN * passes : 2;
  const perPixel = pixels * (passes > 1 ? several : 1) * (deep ? 2 : 1);
  return any + megapixels * perPixel + (bytes / 1e6) * data + height * ROW;
}

/** What decoding takes here: the table, corrected by what was measured, for each type. */
export class DecodeTimes {
  readonly #factors = new Map<PictureType, number>();

  /** Expected processor time, ms. */
  predict(header: PictureHeader, bytes: number): number {
    return decodeCost(header, bytes) * (this.#factors.get(header.type) ?? 1);
  }

  observe(header: PictureHeader, bytes: number, ms: number): void {
    const ratio = ms / this.predict(header, bytes);
    const bounded = Math.min(CLAMP, Math.max(1 / CLAMP, ratio));
    this.#factors.set(header.type, (this.#factors.get(header.type) ?? 1) * bounded ** RATE);
  }
}
