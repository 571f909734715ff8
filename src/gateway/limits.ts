/** What one request may bring. */
export interface Limits {
  /** Bytes of a request body. */
  readonly bodyBytes: number;
  /** Time for a body to arrive, ms. */
  readonly bodyMs: number;
  /** Images of one request. */
  readonly inputs: number;
  /** Pixels of one encoded image, checked before it is decoded. */
  readonly pixels: number;
}

export const DEFAULT_LIMITS: Limits = {
  bodyBytes: 32 * 2 ** 20,
  bodyMs: 30_000,
  inputs: 256,
  pixels: 50_000_000,
};

/** Limits that were set, and the defaults of the others. */
export function resolveLimits(limits: Partial<Limits> = {}): Limits {
  return { ...DEFAULT_LIMITS, ...limits };
}
