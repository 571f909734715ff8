import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { isProblem } from '../../../../src/problem/index.ts';
import type { PruningContext } from '../../../../src/pruning/contracts.ts';
import { readScoresFile } from '../../../../src/pruning/criteria/released/scores-file.ts';
import { atSparsity, type SparsityPair, snapvitPath } from '../../../../src/pruning/paths/snapvit.ts';
import { rank } from '../../../../src/pruning/units/ranking.ts';
import { hasSharedData, SHARED_DATA } from '../../../support/shared-data.ts';
import { tinyConfig } from '../../../support/tiny-vit.ts';

interface Kept {
  readonly pair: SparsityPair;
  readonly channels: number[];
  readonly heads: number[];
}
const FIXTURE = new URL('../../../fixtures/released-scores/counts.json', import.meta.url);
const expected: Record<string, Kept[]> = JSON.parse(readFileSync(FIXTURE, 'utf8'));

const ROOT = join(import.meta.dirname, '../../../..');
const hasPython = (() => {
  try {
    return execFileSync('python3', ['--version']).length > 0;
  } catch {
    return false;
  }
})();
const folder = mkdtempSync(join(tmpdir(), 'scores-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the converter makes of a PyTorch file. */
function converted(file: string): Buffer {
  const target = join(folder, 'scores.safetensors');
  execFileSync('python3', [join(ROOT, 'tools/released-scores/to_safetensors.py'), file, target], {
    stdio: 'pipe',
  });
  return readFileSync(target);
}

/** A file of scores for 2 blocks of 3 heads and 4 channels, with parts that a test may spoil. */
function scoresFile({ mlp = [2, 4], metadata = {} as Record<string, unknown> } = {}): Buffer {
  const header = JSON.stringify({
    __metadata__: {
      model_type: 'tiny',
      num_blocks: '2',
      hidden_dim: '4',
      embed_dim: '12',
      num_heads: '3',
      head_dim: '4',
      min_hidden_dim_keep_ratio: '0.25',
      min_head_keep_ratio: '0.4',
      ...metadata,
    },
    head_scores: { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] },
    mlp_scores: { dtype: 'F32', shape: mlp, data_offsets: [24, 56] },
  });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const floats = (count: number) =>
    Buffer.from(Float32Array.from({ length: count }, (_, at) => at + 0.5).buffer);
  return Buffer.concat([length, Buffer.from(header), floats(6), floats(8)]);
}

describe.skipIf(!hasSharedData || !hasPython)(
  'the released importance scores (needs ../shared/data, python3)',
  () => {
    it.each(Object.keys(expected))(
      'of %s keep the units that an independent computation keeps',
      async (file) => {
        const released = await readScoresFile(converted(`${SHARED_DATA}/snapvit-scores/${file}`));
        const { depth, heads, channels, headDim, width } = released.shape;
        const config = tinyConfig({ depth, heads, channels, headDim, width, embeddingWidth: width });
        const ranking = rank(config, released.scores, released.protection);
        for (const { pair, ...kept } of expected[file] ?? []) {
          expect(atSparsity(config, ranking, pair)).toEqual(kept);
        }
        expect(expected[file]).toHaveLength(6);
      },
    );

    it.each(Object.keys(expected))(
      'of %s give a ladder with those units, asked for by FLOPs',
      async (file) => {
        const released = await readScoresFile(converted(`${SHARED_DATA}/snapvit-scores/${file}`));
        const { depth, heads, channels, headDim, width } = released.shape;
        const size = { imageSize: 224, patchSize: 16, depth, heads, channels, headDim, width };
        const config = tinyConfig({ ...size, embeddingWidth: width });
        const ranking = rank(config, released.scores, released.protection);
        const kept = expected[file] ?? [];
        const full = paperFlops(size, new Array(depth).fill(heads), new Array(depth).fill(channels));
        const shares = kept.map((level) => paperFlops(size, level.heads, level.channels) / full);
        const context = { config } as PruningContext; // the published path looks at nothing else
        const ladder = await snapvitPath().plan(context, ranking, shares);
        for (const [index, level] of kept.entries())
          expect(ladder[index]).toMatchObject({ heads: level.heads, channels: level.channels });
      },
    );
  },
);

/** FLOPs as SnapViT's authors count them, for 196 patches and [CLS], written down once more. */
function paperFlops(
  { headDim: dh, width: D }: { headDim: number; width: number },
  heads: readonly number[],
  channels: readonly number[],
): number {
  const T = 197;
  const perBlock = heads.map((h, block) => {
    const attention = 6 * D * dh * h * T + 2 * D * dh * h * T + 2 * h * dh * T ** 2 + 3 * h * T ** 2;
    return attention + 2 * h * dh * T ** 2 + 4 * D * (channels[block] ?? 0) * T;
  });
  return perBlock.reduce((sum, block) => sum + block, 2 * 196 * 16 * 16 * 3 * D);
}

describe('a file of scores', () => {
  it('is read into rows of scores, protection and shape', async () => {
    const released = await readScoresFile(scoresFile());
    expect(released.scores.channels.map((row) => [...row])).toEqual([
      [0.5, 1.5, 2.5, 3.5],
      [4.5, 5.5, 6.5, 7.5],
    ]);
    expect(released.scores.heads.map((row) => [...row])).toEqual([
      [0.5, 1.5, 2.5],
      [3.5, 4.5, 5.5],
    ]);
    expect(released.protection).toEqual({ heads: 0.4, channels: 0.25 });
    expect(released.shape).toEqual({ depth: 2, heads: 3, channels: 4, headDim: 4, width: 12 });
    expect(released.model).toBe('tiny');
  });

  it.each([
    ['a matrix of another size than it says', { mlp: [4, 2] }, 'mlp_scores'],
    ['a count that is no number', { metadata: { num_blocks: 'two' } }, 'num_blocks'],
    ['an empty count', { metadata: { num_heads: '' } }, 'num_heads'],
    ['a share above 1', { metadata: { min_head_keep_ratio: '1.5' } }, 'min_head_keep_ratio'],
    ['a missing member', { metadata: { model_type: undefined } }, 'model_type'],
  ])('with %s is refused', async (_, spoiled, word) => {
    await expect(readScoresFile(scoresFile(spoiled))).rejects.toMatchObject({
      code: 'invalid-scores',
      message: expect.stringContaining(word),
    });
  });

  it('as PyTorch writes it is refused, with the command that converts it', async () => {
    const zip = Buffer.from('PK\x03\x04 and the rest', 'latin1');
    await expect(readScoresFile(zip)).rejects.toMatchObject({
      code: 'invalid-scores',
      message: expect.stringContaining('to_safetensors.py FILE.pt FILE.safetensors'),
    });
  });

  it('never crashes on damage: it is read the same or refused with a problem', async () => {
    const good = scoresFile();
    await fc.assert(
      fc.asyncProperty(
        fc.nat(good.length - 1),
        fc.nat(255),
        fc.nat(good.length),
        async (at, value, length) => {
          const damaged = Buffer.from(good.subarray(0, length < good.length / 2 ? length : good.length));
          if (at < damaged.length) damaged[at] = value;
          try {
            await readScoresFile(damaged);
          } catch (error) {
            expect(isProblem(error, 'invalid-scores'), String(error)).toBe(true);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe.skipIf(!hasPython)('the converter (needs python3)', () => {
  it('refuses a pickle that names anything else, and executes nothing of it', () => {
    const [file, trace] = [join(folder, 'evil.pt'), join(folder, 'trace')];
    // posix.system('touch trace'), as a pickle calls it, where the scores should be.
    const pickle = `cposix\nsystem\n(Vtouch ${trace}\ntR.`;
    writeFileSync(join(folder, 'data.pkl'), pickle);
    const zip = `import sys, zipfile; zipfile.ZipFile(sys.argv[1], "w").write(sys.argv[2], "x/data.pkl")`;
    execFileSync('python3', ['-c', zip, file, join(folder, 'data.pkl')]);
    expect(() => converted(file)).toThrow('posix.system has no place in a file of scores');
    expect(() => readFileSync(trace)).toThrow('ENOENT');
  });
});
