/**
 * Draws the sample images: eight categories, four pictures each, every one different in colours, light and place.
 *
 *     node tools/draw-sample-images/draw.ts
 *
 * Scenes are SVG, rendered by sharp; the numbers come from a seed, so that the same pictures come out again.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { type Brush, brush } from './brush.ts';
import { SCENES } from './scenes.ts';

const PER_CATEGORY = 4;
const SIZES = [
  [400, 300],
  [360, 300],
  [320, 320],
  [400, 280],
] as const;
const OUT = join(import.meta.dirname, '../../assets/sample-images');

/** Fine noise over everything, so that pictures are not unnaturally flat (cameras are not). */
function grain(random: Brush): string {
  return `<filter id="grain"><feTurbulence type="fractalNoise" baseFrequency="0.8" numOctaves="2" seed="${random.whole(0, 999)}"/>
    <feColorMatrix values="0 0 0 0 0.5  0 0 0 0 0.5  0 0 0 0 0.5  0 0 0 0.16 0"/></filter>
    <rect width="100%" height="100%" filter="url(#grain)"/>`;
}

const index: { file: string; category: string; title: string }[] = [];
await mkdir(OUT, { recursive: true });
for (const [category, scene] of Object.entries(SCENES)) {
  for (let number = 0; number < PER_CATEGORY; number++) {
    const [width, height] = SIZES[number] ?? SIZES[0];
    const random = brush(`${category}-${number}`);
    const { title, svg } = scene(random, number, width, height);
    const text = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${svg}${grain(random)}</svg>`;
    const file = `${category}-${number + 1}.jpg`;
    await sharp(Buffer.from(text), { density: 144 })
      .resize(width, height)
      .flatten({ background: '#fff' })
      .jpeg({ quality: 86, mozjpeg: true })
      .toFile(join(OUT, file));
    index.push({ file, category, title });
  }
}
await writeFile(join(OUT, 'index.json'), `${JSON.stringify(index, null, 2)}\n`);
