import sharp, { type Create, type FormatEnum } from 'sharp';

/** A small picture of one colour with a stripe, so that different colours embed differently. */
export async function picture(
  background: Create['background'] = '#3366aa',
  {
    width = 20,
    height = 16,
    format = 'png',
  }: { width?: number; height?: number; format?: keyof FormatEnum | 'avif' } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const stripe = { create: { width: 4, height, channels: 3 as const, background: '#ffee00' } };
  const data = await sharp({ create: { width, height, channels: 3, background } })
    .composite([{ input: stripe, left: 2, top: 0 }])
    .toFormat(format as keyof FormatEnum) // 'avif' is missing from its types
    .toBuffer();
  return new Uint8Array(data);
}

export function dataUri(bytes: Uint8Array, type = 'image/png'): string {
  return `data:${type};base64,${Buffer.from(bytes).toString('base64')}`;
}
