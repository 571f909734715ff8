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
  inputs: 2048,
  pixels: 50_000_000,
};

/** What may be set of them; what is absent stays as it is. */
export type LimitSettings = { readonly [Name in keyof Limits]?: number | undefined };

/** Limits that were set, over others. */
export function resolveLimits(settings: LimitSettings = {}, others: Limits = DEFAULT_LIMITS): Limits {
  return {
    bodyBytes: settings.bodyBytes ?? others.bodyBytes,
    bodyMs: settings.bodyMs ?? others.bodyMs,
    inputs: settings.inputs ?? others.inputs,
    pixels: settings.pixels ?? others.pixels,
  };
}
