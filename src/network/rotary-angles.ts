import { prefixTokens, type VitConfig } from '../vit/index.ts';

/**
 * Rotary position embedding of DINOv3: patch centres scaled to [-1, 1], `dh / 4` frequencies per axis, rows before
 * columns; prefix tokens are not rotated.
 * @returns `[tokens, dh]`, radians; the second half of each row repeats the first
 */
export function rotaryAngles(config: VitConfig, theta: number): number[] {
  const side = Math.floor(config.imageSize / config.patchSize);
  const quarter = config.headDim / 4;
  const result: number[] = new Array(prefixTokens(config) * config.headDim).fill(0);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const half = [row, column].flatMap((at) =>
        Array.from(
          { length: quarter },
          (_, k) => 2 * Math.PI * (((at + 0.5) / side) * 2 - 1) * theta ** (-k / quarter),
        ),
      );
      result.push(...half, ...half);
    }
  }
  return result;
}
