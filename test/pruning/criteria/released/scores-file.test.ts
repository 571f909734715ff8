import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isProblem } from '../../../../src/problem/index.ts';
import type { PruningContext } from '../../../../src/pruning/contracts.ts';
import { readPickle } from '../../../../src/pruning/criteria/released/pickle.ts';
import { readScoresFile } from '../../../../src/pruning/criteria/released/scores-file.ts';
import { readStoredZip } from '../../../../src/pruning/criteria/released/zip.ts';
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

/** A zip archive of stored entries, written field by field. */
function storedZip(entries: Record<string, Uint8Array>): Buffer {
  const [files, directory]: Buffer[][] = [[], []];
  let offset = 0;
  for (const [name, content] of Object.entries(entries)) {
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt32LE(crc32(content), 10);
    common.writeUInt32LE(content.length, 14);
    common.writeUInt32LE(content.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, Buffer.from(name), content]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    directory?.push(Buffer.from('PK\x01\x02\x14\x00', 'latin1'), common, tail, Buffer.from(name));
    files?.push(local);
    offset += local.length;
  }
  const listing = Buffer.concat(directory ?? []);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(Object.keys(entries).length, 8);
  end.writeUInt16LE(Object.keys(entries).length, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...(files ?? []), listing, end]);
}

const text = (value: string) => `X${String.fromCharCode(value.length)}\0\0\0${value}`;
const global = (module: string, name: string) => `c${module}\n${name}\n`;
const matrix = (key: string, rows: number, columns: number) =>
  `${global('torch._utils', '_rebuild_tensor_v2')}((${text('storage')}${global('torch', 'FloatStorage')}${text(key)}${text('cpu')}` +
  `K${String.fromCharCode(rows * columns)}tQK\0K${String.fromCharCode(rows)}K${String.fromCharCode(columns)}\x86` +
  `K${String.fromCharCode(columns)}K\x01\x86\x89${global('collections', 'OrderedDict')})RtR`;
const number = (value: number) => `K${String.fromCharCode(value)}`;
const real = (value: number) => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return `G${bytes.toString('latin1')}`;
};

/** A file of scores for 2 blocks of 3 heads and 4 channels, with parts that a test may spoil. */
function scoresFile({ mlp = matrix('0', 2, 4), model = '', storage = 8 } = {}): Buffer {
  const pickle =
    `\x80\x02}(${text('mlp_scores')}${mlp}${text('head_scores')}${matrix('1', 2, 3)}${text('model_type')}` +
    (model || `${global('src.models.enums', 'ModelType')}${text('tiny')}\x85R`) +
    `${text('num_blocks')}${number(2)}${text('hidden_dim')}${number(4)}${text('embed_dim')}${number(12)}` +
    `${text('num_heads')}${number(3)}${text('head_dim')}${number(4)}` +
    `${text('min_hidden_dim_keep_ratio')}${real(0.25)}${text('min_head_keep_ratio')}${real(0.4)}u.`;
  const floats = (count: number) =>
    new Uint8Array(Float32Array.from({ length: count }, (_, at) => at + 0.5).buffer);
  return storedZip({
    'x/data.pkl': Buffer.from(pickle, 'latin1'),
    'x/byteorder': Buffer.from('little'),
    'x/data/0': floats(storage),
    'x/data/1': floats(6),
  });
}

describe.skipIf(!hasSharedData)('the released importance scores (needs ../shared/data)', () => {
  it.each(Object.keys(expected))('of %s keep the units that an independent computation keeps', (file) => {
    const released = readScoresFile(readFileSync(`${SHARED_DATA}/snapvit-scores/${file}`));
    const { depth, heads, channels, headDim, width } = released.shape;
    const config = tinyConfig({ depth, heads, channels, headDim, width, embeddingWidth: width });
    const ranking = rank(config, released.scores, released.protection);
    for (const { pair, ...kept } of expected[file] ?? []) {
      expect(atSparsity(config, ranking, pair)).toEqual(kept);
    }
    expect(expected[file]).toHaveLength(6);
  });

  it.each(Object.keys(expected))('of %s give a ladder with those units, asked for by FLOPs', async (file) => {
    const released = readScoresFile(readFileSync(`${SHARED_DATA}/snapvit-scores/${file}`));
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
  });
});

/** FLOPs as section 4 of the method has them, for 196 patches and [CLS], written down once more. */
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
  it('is read into rows of scores, protection and shape', () => {
    const released = readScoresFile(scoresFile());
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
    ['of another size than the header says', { mlp: matrix('0', 4, 2) }],
    ['whose storage is cut short', { storage: 7 }],
    ['whose storage is missing', { mlp: matrix('7', 2, 4) }],
    ['that is a plain number', { mlp: 'K\x01' }],
  ])('with a matrix %s is refused', (_, spoiled) => {
    expect(() => readScoresFile(scoresFile(spoiled))).toThrow(/mlp_scores/);
  });

  it('never crashes on damage: it is read the same or refused with a problem', () => {
    const good = scoresFile();
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, value, length) => {
        const damaged = Buffer.from(good.subarray(0, length < good.length / 2 ? length : good.length));
        if (at < damaged.length) damaged[at] = value;
        try {
          readScoresFile(damaged);
        } catch (error) {
          expect(isProblem(error, 'invalid-scores'), String(error)).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the pickle reader', () => {
  const read = (source: string) => readPickle(Buffer.from(source, 'latin1'), new Set(['allowed.name']));

  it('names the opcode and the offset of what it does not know', () => {
    // os.system('true') as pickle writes it: the global is refused before anything could be called.
    for (const [source, opcode, offset] of [
      ["cos\nsystem\n(S'true'\ntR.", '0x63', 0],
      ['\x80\x02cposix\nsystem\nX\x04\0\0\0true\x85R.', '0x63', 2],
      ["(S'true'\nios\nsystem\n.", '0x53', 1],
      ['}b.', '0x62', 1],
      ['(oN.', '0x6f', 1],
      ['\x80\x02\x8c\x02os\x8c\x06system\x93.', '0x8c', 2],
      ['\x80\x04N.', '0x80', 0],
      ['K\x01K\x02\x85R.', '0x52', 5],
      ['h\x05.', '0x68', 0],
    ] as const) {
      expect(() => read(source)).toThrow(
        expect.objectContaining({ code: 'invalid-scores', details: { opcode, offset } }),
      );
    }
  });

  it('keeps calls of expected globals as data', () => {
    expect(read('\x80\x02callowed\nname\nK\x07\x85R.')).toEqual({
      kind: 'call',
      callable: 'allowed.name',
      items: [7],
    });
  });

  it('reads numbers, strings, lists and the memo', () => {
    expect(read('](K\x01M\x02\x01J\xff\xff\xff\xffG\x3f\xf8\0\0\0\0\0\0X\x01\0\0\0aN\x88e.')).toEqual([
      1,
      258,
      -1,
      1.5,
      'a',
      null,
      true,
    ]);
    expect(read(']q\0(K\x05q\x01h\x01e.')).toEqual([5, 5]);
  });
});

describe('the zip reader', () => {
  it('gives the stored entries', () => {
    const entries = readStoredZip(storedZip({ a: Buffer.from('alpha'), 'b/c': new Uint8Array() }));
    expect([...entries].map(([name, content]) => [name, Buffer.from(content).toString()])).toEqual([
      ['a', 'alpha'],
      ['b/c', ''],
    ]);
  });

  it('refuses a flipped byte, a compressed entry and an archive without its end', () => {
    const archive = storedZip({ a: Buffer.from('alpha') });
    const flipped = Buffer.from(archive);
    flipped[32] = (flipped[32] ?? 0) ^ 1;
    expect(() => readStoredZip(flipped)).toThrow(/checksum/);
    const compressed = Buffer.from(archive);
    compressed.writeUInt16LE(8, archive.indexOf('PK\x01\x02', 0, 'latin1') + 10);
    expect(() => readStoredZip(compressed)).toThrow(/compressed/);
    expect(() => readStoredZip(archive.subarray(0, -3))).toThrow(/cut short/);
  });
});
