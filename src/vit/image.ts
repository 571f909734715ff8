import type { VitConfig } from './config.ts';

/**
 * Turns encoded images into network input. Implementations: `sharp` on Node, WebAssembly codecs on Workers.
 */
export interface ImageDecoder {
  /** Media types that can be read, for messages and content negotiation. */
  readonly mediaTypes: readonly string[];

  /**
   * What decoding a picture will take, from its header alone; absent where decoding is not known beforehand.
   * @throws Problem('undecodable-image'), ('too-many-pixels') for what is not decoded at all
   */
  expect?(image: Uint8Array, options?: DecodeOptions): ExpectedDecode;

  /**
   * Decodes, orients by EXIF, flattens alpha, converts to RGB, resizes and crops as the config says, and normalises.
   * @returns `[3, size, size]` float32
   * @throws Problem('undecodable-image'), Problem('too-many-pixels') (from the header, before decoding)
   */
  decode(image: Uint8Array, config: VitConfig, options?: DecodeOptions): Promise<Float32Array>;
}

/** What decoding a picture will take. */
export interface ExpectedDecode {
  /** Processor time, ms. */
  readonly ms: number;
  /** Too much for the threads of this process: decoded beside them, at a lower priority. */
  readonly apart: boolean;
}

export interface DecodeOptions {
  /** Pixels that the encoded image may have; checked before decoding. @default 50_000_000 */
  readonly maxPixels?: number;
  readonly signal?: AbortSignal;
}
