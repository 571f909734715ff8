import { DecodeTimes, decodeCost, type ImageDecoder, readPictureHeader } from '../vit/index.ts';
import { sharpDecoder } from '../vit/node.ts';
import { DecodeProcess } from './decode-process.ts';

/** A picture whose decoding takes longer is decoded apart, ms: nobody whose turn has come waits longer for a decoder than this. */
const APART_MS = 80;
const DEFAULT_MAX_PIXELS = 50_000_000;

export interface PictureDecoder extends ImageDecoder {
  close(): void;
}

/**
 * Decodes pictures of strangers: by their first bytes, never more pixels, rows or pages than are accepted; large ones in a process of
 * their own, with limits on processor time and memory, below the priority of everything else.
 */
export function pictureDecoder(apart: DecodeProcess = new DecodeProcess()): PictureDecoder {
  const decoder = sharpDecoder({ accuracy: 'fast' });
  const times = new DecodeTimes();
  const expect = (image: Uint8Array, maxPixels = DEFAULT_MAX_PIXELS) => {
    const header = readPictureHeader(image, maxPixels);
    // By the table alone: a busy moment must not send ordinary pictures away.
    const apart = decodeCost(header, image.length) > APART_MS;
    return { header, ms: times.predict(header, image.length), apart };
  };
  return {
    mediaTypes: decoder.mediaTypes,
    expect: (image, { maxPixels } = {}) => {
      const { ms, apart } = expect(image, maxPixels);
      return { ms, apart };
    },
    async decode(image, config, options = {}) {
      const { maxPixels = DEFAULT_MAX_PIXELS, signal } = options;
      const expected = expect(image, maxPixels);
      if (expected.apart) return await apart.decode({ image, config, maxPixels }, signal);
      const began = performance.now();
      const pixels = await decoder.decode(image, config, options);
      times.observe(expected.header, image.length, performance.now() - began);
      return pixels;
    },
    close: () => apart.close(),
  };
}
