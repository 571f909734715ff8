/** A picture that has been received and not been decoded. Decoding is work like running the network: admitted, ordered, bounded. */
export interface DecodeWork {
  /** Expected processor time, ms. */
  readonly predicted: number;
  /** Too much for the gateway's own threads: it takes no worker's place, and is decoded beside them at a lower priority. */
  readonly apart: boolean;
  /**
   * @returns `[3, size, size]` float32, normalised
   * @throws Problem('undecodable-image'), ('too-many-pixels')
   */
  decode(signal?: AbortSignal): Promise<Float32Array>;
}
