import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isProblem } from '../../src/problem/index.ts';
import {
  type ByteSource,
  decodeTensor,
  encodeSafetensors,
  memorySource,
  readSafetensors,
  readSafetensorsHeader,
} from '../../src/vit/index.ts';

/** A file with any header, as JSON, and any data. */
function file(header: unknown, data: Uint8Array = new Uint8Array(16), length?: bigint): ByteSource {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return memorySource('weights.safetensors', bytes);
}

const four = { dtype: 'F32', shape: [4], data_offsets: [0, 16] };
const two = (start: number) => ({ dtype: 'F32', shape: [2], data_offsets: [start, start + 8] });

describe('a safetensors file', () => {
  it('gives its tensors by name, with shape, type, absolute range and metadata', async () => {
    const source = file(
      { __metadata__: { format: 'pt' }, b: two(8), a: two(0) },
      new Uint8Array(16).fill(63),
    );
    const header = await readSafetensorsHeader(source);
    const start = source.size - 16;
    expect(header.metadata).toEqual({ format: 'pt' });
    expect(header.size).toBe(start);
    expect(header.entries.get('b')).toEqual({ dtype: 'F32', shape: [2], start: start + 8, end: start + 16 });
    expect((await readSafetensors(source)).get('a')?.data).toEqual(Float32Array.of(0.7470588, 0.7470588));
  });

  it('is what the reference writer writes: little-endian float32 after a padded header', async () => {
    // safetensors.numpy.save({'x': np.array([1.5, -2], '<f4')})
    const hex =
      '38000000000000007b2278223a7b226474797065223a22463332222c227368617065223a5b325d2c22646174615f6f666673657473' +
      '223a5b302c385d7d7d20200000c03f000000c0';
    const tensors = await readSafetensors(memorySource('x', Buffer.from(hex, 'hex')));
    expect([...tensors]).toEqual([['x', { shape: [2], data: Float32Array.of(1.5, -2) }]]);
  });

  it('may be empty, hold scalars and hold tensors without elements', async () => {
    expect((await readSafetensors(file({}, new Uint8Array()))).size).toBe(0);
    const scalar = { s: { dtype: 'F32', shape: [], data_offsets: [0, 4] } };
    expect((await readSafetensors(file(scalar, new Uint8Array(4)))).get('s')?.data).toEqual(
      Float32Array.of(0),
    );
    const none = { n: { dtype: 'F32', shape: [0, 9], data_offsets: [0, 0] } };
    expect((await readSafetensors(file(none, new Uint8Array()))).get('n')?.data.length).toBe(0);
  });

  const bad: [string, ByteSource, RegExp][] = [
    ['is empty', memorySource('w', new Uint8Array()), /0 bytes/],
    ['ends within the length word', memorySource('w', new Uint8Array(7)), /7 bytes/],
    ['ends within the header', file({ a: four }, new Uint8Array(), 4096n), /truncated/],
    ['claims a header of more than 100 MB', file({}, new Uint8Array(), 2n ** 40n), /the format allows/],
    ['claims a header of 2^64 - 1 bytes', file({}, new Uint8Array(), 2n ** 64n - 1n), /the format allows/],
    ['ends within a tensor', file({ a: four }, new Uint8Array(15)), /"a".*truncated/],
    ['goes on after the last tensor', file({ a: four }, new Uint8Array(17)), /1 bytes follow/],
    ['has a header that is not JSON', file('{"a":'), /not JSON/],
    ['has a header that is a list', file([]), /not a JSON object/],
    ['has metadata that is no map of strings', file({ __metadata__: { a: 1 } }), /__metadata__/],
    ['has overlapping tensors', file({ a: two(0), b: two(4) }, new Uint8Array(12)), /"b" overlaps/],
    ['has two tensors on the same bytes', file({ a: two(0), b: two(0) }, new Uint8Array(8)), /overlaps/],
    ['has a hole', file({ a: two(0), b: two(12) }, new Uint8Array(20)), /hole.*"b"/],
    ['begins with a hole', file({ a: two(4) }, new Uint8Array(12)), /hole.*"a"/],
    ['has a length that contradicts the shape', file({ a: { ...four, shape: [5] } }), /\[5\] needs 20/],
    ['has a negative side', file({ a: { ...four, shape: [-4] } }), /"a" is malformed \(shape/],
    ['has a fractional side', file({ a: { ...four, shape: [1.5] } }), /"a" is malformed/],
    ['has NaN as a side', file('{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,16]}}'), /not JSON/],
    ['has sides that overflow', file({ a: { ...four, shape: [2 ** 40, 2 ** 40] } }), /needs/],
    ['has a side beyond exact integers', file({ a: { ...four, shape: [2 ** 60] } }), /malformed/],
    ['has offsets in reverse', file({ a: { ...four, data_offsets: [16, 0] } }), /"a" takes bytes 16 to 0/],
    ['has a negative offset', file({ a: { ...four, data_offsets: [-16, 0] } }), /malformed/],
    [
      'has offsets beyond the file',
      file({ a: { ...four, data_offsets: [2 ** 50, 2 ** 50 + 16] } }),
      /ends at byte/,
    ],
    ['has an unknown type', file({ a: { ...four, dtype: 'Q4' } }), /unknown type Q4/],
    [
      'has a type named like a method of objects',
      file({ a: { ...four, dtype: 'toString' } }),
      /unknown type/,
    ],
    ['has a field too many', file({ a: { ...four, extra: 1 } }), /malformed/],
    ['has a tensor that is no object', file({ a: 4 }), /"a" is malformed/],
  ];
  it.each(bad)('that %s is refused', async (_, source, message) => {
    await expect(readSafetensors(source)).rejects.toMatchObject({ code: 'invalid-safetensors' });
    await expect(readSafetensors(source)).rejects.toThrow(message);
  });

  it('with invalid UTF-8 in its header is refused', async () => {
    const source = file('{"a\u00ff":1}');
    const bytes = await source.read(0, source.size);
    bytes[11] = 0xff;
    await expect(readSafetensors(memorySource('w', bytes))).rejects.toThrow(/not JSON/);
  });

  it('may hold indices of other types, which are refused only when they are asked for', async () => {
    const source = file({
      ids: { dtype: 'I64', shape: [1], data_offsets: [0, 8] },
      a: two(8),
    });
    const { entries } = await readSafetensorsHeader(source);
    const ids = entries.get('ids');
    expect(ids?.dtype).toBe('I64');
    expect(() => decodeTensor('ids', { dtype: 'I64', shape: [1] }, new Uint8Array(8))).toThrow(
      expect.objectContaining({ code: 'invalid-safetensors', details: { tensor: 'ids', dtype: 'I64' } }),
    );
  });

  it('of float64 and int8 numbers is read as float32', () => {
    const doubles = new Uint8Array(Float64Array.of(0.1, -3e300).buffer);
    expect(decodeTensor('d', { dtype: 'F64', shape: [2] }, doubles).data).toEqual(
      Float32Array.of(0.1, Number.NEGATIVE_INFINITY),
    );
    expect(decodeTensor('i', { dtype: 'I8', shape: [3] }, Uint8Array.of(0, 127, 128)).data).toEqual(
      Float32Array.of(0, 127, -128),
    );
  });

  it.each([
    ['F32', new Uint8Array(Float32Array.of(1, Number.NaN, Number.POSITIVE_INFINITY).buffer), 2],
    ['F16', Uint8Array.of(0, 0x3c, 0, 0x7e, 0, 0xfc), 2],
    ['BF16', Uint8Array.of(0x80, 0x3f, 0x80, 0x7f, 0x80, 0x3f), 1],
  ] as const)('with NaN or infinity in %s is refused by the name of the tensor', (dtype, bytes, count) => {
    expect(() => decodeTensor('blocks.0.w', { dtype, shape: [3] }, bytes, { finite: true })).toThrow(
      expect.objectContaining({ code: 'non-finite-weights', details: { tensor: 'blocks.0.w', count } }),
    );
    expect(decodeTensor('w', { dtype, shape: [3] }, bytes).data).toHaveLength(3);
  });

  it('reads back what was written, whatever the names and shapes', async () => {
    const shape = fc.array(fc.nat(4), { maxLength: 3 });
    const entries = fc.uniqueArray(fc.tuple(fc.string({ unit: 'grapheme' }), shape), {
      selector: ([name]) => name,
    });
    await fc.assert(
      fc.asyncProperty(entries, async (list) => {
        const tensors = new Map(
          list
            .filter(([name]) => name !== '__metadata__' && name !== '__proto__')
            .map(([name, sides]) => {
              const size = sides.reduce((product, side) => product * side, 1);
              return [
                name,
                { shape: sides, data: Float32Array.from({ length: size }, (_, i) => i / 3) },
              ] as const;
            }),
        );
        expect(await readSafetensors(memorySource('w', encodeSafetensors(tensors)))).toEqual(tensors);
      }),
      { numRuns: 300 },
    );
  });

  it('never crashes on damage: it is read or refused with a problem', async () => {
    const good = encodeSafetensors(
      new Map([
        ['a', { shape: [2, 3], data: new Float32Array(6) }],
        ['b', { shape: [4], data: new Float32Array(4) }],
      ]),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.nat(good.length * 4),
        async (changes, length) => {
          const damaged = Uint8Array.from(good).subarray(0, Math.min(length, good.length));
          for (const [at, value] of changes) if (at < damaged.length) damaged[at] = value;
          try {
            await readSafetensors(memorySource('w', damaged), { finite: true });
          } catch (error) {
            expect(isProblem(error), String(error)).toBe(true);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
});
