import { prefixTokens, type VitConfig } from '../vit/index.ts';

/**
 * Angles of the rotary position embedding, `dh / 4` frequencies per axis, rows before columns; prefix tokens are not rotated.
 * Without `grid` as in DINOv3: patch centres scaled to [-1, 1], times 2 pi. With it as in EVA-02 and Perception Encoder (timm's
 * `RotaryEmbeddingCat`): patches counted from `offset` on, over a grid of `patches` a side where that is given.
 * @returns `[tokens, dh]`, radians; the second half of each row repeats the first
 */
export function rotaryAngles(config: VitConfig, { theta, grid }: NonNullable<VitConfig['rope']>): number[] {
  const side = Math.floor(config.imageSize / config.patchSize);
  const quarter = config.headDim / 4;
  const position = (at: number) =>
    grid ? ((at + grid.offset) * (grid.patches ?? side)) / side : 2 * Math.PI * (((at + 0.5) / side) * 2 - 1);
  const result: number[] = new Array(prefixTokens(config) * config.headDim).fill(0);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const half = [row, column].flatMap((at) =>
        Array.from({ length: quarter }, (_, k) => position(at) * theta ** (-k / quarter)),
      );
      result.push(...half, ...half);
    }
  }
  return result;
}
