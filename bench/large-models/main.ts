/**
 * Networks of the size of ViT-L/16 and ViT-H/14 with random weights: does pruning them and serving them fit into 24 GB of
 * memory, and how long does it take? `npm run bench -- large-models [--models L,H] [--limit 24] [--json] [--out folder]`.
 * One tiny calibration batch: what a real run needs more of is time, not memory.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { quick } from '../../src/pruning/recipe/recipes/quick.ts';
import { machine } from '../common/machine.ts';
import { type LargeShape, writeRandomNetwork } from './network.ts';
import { type Served, serveLevels } from './serving.ts';
import { watched } from './watched.ts';

const IMAGES = join(import.meta.dirname, '../../assets/sample-images');
const PICTURE = join(IMAGES, 'car-1.jpg');
/** Images of the recipe: two whose views make one batch, and two that the levels are measured on. */
const FEW = 2;
const SHARES = '0.5,0.75,1';

const SHAPES: Readonly<Record<string, LargeShape>> = {
  L: { architecture: 'vit_large_patch16_224', width: 1024, depth: 24, heads: 16, patch: 16 },
  H: { architecture: 'vit_huge_patch14_224', width: 1280, depth: 32, heads: 16, patch: 14 },
};

interface Measured {
  readonly name: string;
  readonly parameters: number;
  /** s, and bytes at the most. */
  readonly prune: { readonly seconds: number; readonly peak: number };
  readonly serve: Served;
}

const { values } = parseArgs({
  options: {
    models: { type: 'string', default: 'L,H' },
    limit: { type: 'string', default: '24' },
    json: { type: 'boolean' },
    out: { type: 'string' },
    quick: { type: 'boolean' },
  },
});
const limitBytes = Number(values.limit) * 1e9;

async function measure(size: string, shape: LargeShape): Promise<Measured> {
  const folder = await mkdtemp(join(tmpdir(), 'large-models-'));
  try {
    const model = join(folder, 'model');
    const parameters = await writeRandomNetwork(model, shape);
    const recipe = join(folder, 'recipe.json');
    await writeFile(recipe, JSON.stringify(tinyRecipe()));
    const store = join(folder, 'store');
    const began = performance.now();
    const job = watched(
      [
        ...['prune', '--model', model, '--images', IMAGES, '--store', store, '--name', 'large'],
        ...['--recipe', recipe, '--levels', SHARES, '--work', join(folder, 'work'), '--device', 'cpu'],
      ],
      limitBytes,
    );
    const peak = await job.ended;
    const seconds = (performance.now() - began) / 1000;
    await rm(model, { recursive: true });
    const picture = Uint8Array.from(await readFile(PICTURE));
    const serve = await serveLevels(store, picture, limitBytes);
    const patch = `ViT-${size}/${shape.patch}`;
    return { name: patch, parameters, prune: { seconds, peak }, serve };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** `quick` with as little of everything as there can be. */
function tinyRecipe() {
  const { criterion } = quick;
  if (criterion.kind !== 'snapvit') throw new TypeError('quick scores by SnapViT');
  const local = { ...criterion.local, images: FEW, batch: FEW };
  return {
    ...quick,
    name: 'quick-tiny',
    images: { fit: FEW, held: FEW },
    criterion: { ...criterion, local },
    components: 0,
  };
}

function table(rows: readonly Measured[]): string {
  const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1);
  const cells = rows.map(({ name, parameters, prune, serve }) =>
    [
      name,
      (parameters / 1e6).toFixed(0),
      `**${gigabytes(prune.peak)}**`,
      prune.seconds.toFixed(0),
      `**${gigabytes(serve.peak)}**`,
      serve.ready.toFixed(0),
      serve.levels.map(({ share }) => share.toFixed(2)).join(' / '),
      serve.levels.map(({ ms }) => ms.toFixed(0)).join(' / '),
    ].join(' | '),
  );
  return `# Large networks in ${values.limit} GB

Made by \`npm run bench -- large-models\`. ${machine()}
Random float32 weights in timm's naming; \`concertina prune\` by \`quick\` with ${FEW} calibration pictures, ${FEW} held out and three levels;
\`concertina serve --workers 1\` on the checkpoint, one picture at each level. Peaks are the process's largest resident size.

| network | parameters, M | prune, peak GB | s | serve, peak GB | all levels after, s | FLOPs of the levels | one embedding, ms |
|---|---|---|---|---|---|---|---|
${cells.map((row) => `| ${row} |`).join('\n')}
`;
}

const rows: Measured[] = [];
for (const size of (values.quick ? 'L' : values.models).split(',')) {
  const shape = SHAPES[size];
  if (!shape) throw new RangeError(`--models takes ${Object.keys(SHAPES).join(', ')}`);
  try {
    const row = await measure(size, shape);
    rows.push(row);
    if (values.json) console.log(JSON.stringify(row));
  } catch (error) {
    process.exitCode = 1;
    console.error(`ViT-${size}: ${error instanceof Error ? error.message : error}`);
  }
}
rows.sort((a, b) => a.parameters - b.parameters);
const page = table(rows);
if (!values.json) console.log(page);
if (values.out) await writeFile(join(values.out, 'large-models.md'), page);
