/** Looks up every third byte, from `channel` on. @param out `[size, size]`, written */
export function lookUpChannel(
  rgb: Uint8Array,
  channel: number,
  values: Float32Array,
  out: Float32Array,
): void {
  for (let i = 0; i < out.length; i++) out[i] = values[rgb[3 * i + channel]];
}

/**
 * Colours over white, without alpha, as libvips flattens: `(colour * alpha + 255 * (255 - alpha)) / 255`, rounded down.
 * @param rgba `[pixels, 4]`
 */
export function overWhite(rgba: Uint8ClampedArray, pixels: number): Uint8Array {
  const data = new Uint8Array(pixels * 3);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const alpha = rgba[4 * pixel + 3];
    for (let channel = 0; channel < 3; channel++) {
      const colour = rgba[4 * pixel + channel];
      data[3 * pixel + channel] =
        alpha === 255 ? colour : Math.floor((colour * alpha + 255 * (255 - alpha)) / 255);
    }
  }
  return data;
}

/** `(1 - ink) (1 - black)` of CMYK pixels with so many channels, black the fourth. */
export function inksOverWhite(inks: Uint8Array, channels: number, pixels: number): Uint8Array {
  const data = new Uint8Array(pixels * 3);
  for (let i = 0; i < data.length; i++) {
    const [pixel, channel] = [Math.floor(i / 3), i % 3];
    const ink = inks[pixel * channels + channel];
    const black = inks[pixel * channels + 3];
    data[i] = Math.round(((255 - ink) * (255 - black)) / 255);
  }
  return data;
}

/** RGB of pixels that have one or two channels (grey, and alpha) or more than three. */
export function threeChannels(data: Uint8Array, channels: number, pixels: number): Uint8Array {
  const rgb = new Uint8Array(pixels * 3);
  for (let i = 0; i < rgb.length; i++)
    rgb[i] = data[Math.floor(i / 3) * channels + (channels < 3 ? 0 : i % 3)];
  return rgb;
}

/**
 * One RGB pixel at `at` of `target` from the pixels `stride` apart that begin at `from`; halves round up, as in Pillow.
 * @param weights of those pixels; their sum is 1
 */
export function resamplePixel(
  target: Uint8ClampedArray,
  at: number,
  source: Uint8Array | Uint8ClampedArray,
  from: number,
  stride: number,
  weights: Float64Array,
): void {
  let red = 0.5;
  let green = 0.5;
  let blue = 0.5;
  let pixel = from;
  for (let k = 0; k < weights.length; k++) {
    const weight = weights[k];
    red += weight * source[pixel];
    green += weight * source[pixel + 1];
    blue += weight * source[pixel + 2];
    pixel += stride;
  }
  target[at] = Math.floor(red);
  target[at + 1] = Math.floor(green);
  target[at + 2] = Math.floor(blue);
}

/** Adds `count` numbers of `source` from `from` on, times `weight`, to those of `target` from `at` on. */
export function addWeighted(
  target: Float64Array,
  at: number,
  source: ArrayLike<number>,
  from: number,
  count: number,
  weight: number,
): void {
  for (let i = 0; i < count; i++) target[at + i] += weight * source[from + i];
}
