import { z } from 'zod';
import { Problem } from '../problem/index.ts';
import { decodeBrainFloat, decodeHalf } from './kernels/float16.ts';
import type { Tensor } from './tensors.ts';

/** Random access to the bytes of a file, wherever it lies. */
export interface ByteSource {
  /** For messages: a file name or a URL without secrets. */
  readonly name: string;
  readonly size: number;
  /** Exactly the bytes `[start, end)`. */
  read(start: number, end: number): Promise<Uint8Array>;
  /** sha256 of the whole, hexadecimal, where it is known or can be had without holding the file in memory. */
  sha256?(): Promise<string>;
}

/** The format's own limit on the header (safetensors README). */
const MAX_HEADER_BYTES = 100_000_000;

/** Types whose numbers can be read, and written. */
const READABLE = { F32: 4, F16: 2, BF16: 2, I8: 1 } as const;
export type SafetensorsType = keyof typeof READABLE;

/** The format's other types: a file may hold such tensors (indices, say) as long as nobody asks for them. */
const OTHER = {
  BOOL: 1,
  U8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  I32: 4,
  U32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;
const BYTES_PER_ELEMENT = { ...READABLE, ...OTHER };
type AnyType = keyof typeof BYTES_PER_ELEMENT;

export interface SafetensorsEntry {
  readonly dtype: AnyType;
  readonly shape: readonly number[];
  /** Absolute byte range in the file. */
  readonly start: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** Bytes before the data section: the length word and the header. */
  readonly size: number;
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

const EntrySchema = z.strictObject({
  dtype: z.string(),
  shape: z.array(z.number().int().nonnegative()),
  data_offsets: z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]),
});

/**
 * What bytes are that stand where a file should: Git LFS's pointer, a web page, a pickle.
 * @param bytes the first few are enough
 * @returns a clause and what to do; `undefined` for anything else
 */
export function whatElse(bytes: Uint8Array): string | undefined {
  const start = new TextDecoder('latin1').decode(bytes.subarray(0, 64)).trimStart();
  if (start.startsWith('version https://git-lfs'))
    return 'is a pointer of Git LFS in place of the file itself. Fetch the file ("git lfs pull") or download it.';
  if (/^<(!doctype|html|\?xml)/i.test(start))
    return 'is a web page, probably an error page that was saved. Download the file again.';
  if (start.startsWith('PK\x03\x04') || bytes[0] === 0x80)
    return 'is a PyTorch file (a pickle), which can run code when it is read. Convert it (safetensors.torch.save_file).';
  return undefined;
}

/**
 * Reads and checks the header of a safetensors file: every offset inside the file, every size equal to its shape, no
 * overlaps and no holes (the format allows neither).
 * @throws Problem('invalid-safetensors') naming the tensor
 */
export async function readSafetensorsHeader(source: ByteSource): Promise<SafetensorsHeader> {
  const refuse = (what: string, details = {}): never => {
    throw new Problem(
      'invalid-safetensors',
      `${source.name}: ${what} Export or download the file again.`,
      details,
    );
  };
  if (source.size < 8) return refuse(`the file has ${source.size} bytes, too few for a safetensors file.`);
  const word = await source.read(0, 8);
  const length = Number(new DataView(word.buffer, word.byteOffset, 8).getBigUint64(0, true));
  const other = 8 + length > source.size && whatElse(await source.read(0, Math.min(64, source.size)));
  if (other) throw new Problem('invalid-safetensors', `${source.name} ${other}`, { file: source.name });
  if (length > MAX_HEADER_BYTES)
    return refuse(`the header claims ${length} bytes; the format allows ${MAX_HEADER_BYTES}.`);
  if (8 + length > source.size) {
    return refuse(
      `the header claims ${length} bytes but the file ends after ${source.size}: it is truncated.`,
    );
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await source.read(8, 8 + length)));
  } catch (cause) {
    throw new Problem('invalid-safetensors', `${source.name}: the header is not JSON.`, {}, { cause });
  }
  const object = z.record(z.string(), z.unknown()).safeParse(json);
  if (!object.success) return refuse('the header is not a JSON object.');
  const dataStart = 8 + length;
  const entries = new Map<string, SafetensorsEntry>();
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(object.data)) {
    if (name === '__metadata__') {
      const parsed = z.record(z.string(), z.string()).safeParse(value);
      if (!parsed.success) return refuse('`__metadata__` is not a map of strings.');
      metadata = parsed.data;
      continue;
    }
    const parsed = EntrySchema.safeParse(value);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      return refuse(`tensor "${name}" is malformed (${issue?.path.join('.')}: ${issue?.message}).`, {
        tensor: name,
      });
    }
    const { dtype, shape, data_offsets: offsets } = parsed.data;
    if (!Object.hasOwn(BYTES_PER_ELEMENT, dtype)) {
      return refuse(`tensor "${name}" has the unknown type ${dtype}.`, { tensor: name });
    }
    const type = dtype as AnyType; // checked one line above
    const bytes = shape.reduce((product, side) => product * side, BYTES_PER_ELEMENT[type]);
    const [start, end] = offsets;
    if (end < start || end - start !== bytes) {
      return refuse(
        `tensor "${name}" takes bytes ${start} to ${end} but its shape [${shape}] needs ${bytes}.`,
        { tensor: name },
      );
    }
    if (dataStart + end > source.size) {
      return refuse(
        `tensor "${name}" ends at byte ${dataStart + end} but the file has ${source.size}: it is truncated.`,
        { tensor: name },
      );
    }
    entries.set(name, { dtype: type, shape, start: dataStart + start, end: dataStart + end });
  }
  let position = dataStart;
  for (const [name, entry] of [...entries].sort(([, a], [, b]) => a.start - b.start || a.end - b.end)) {
    if (entry.start < position)
      return refuse(`tensor "${name}" overlaps the one before it.`, { tensor: name });
    if (entry.start > position)
      return refuse(`there is a hole of unused bytes before tensor "${name}".`, { tensor: name });
    position = entry.end;
  }
  if (position !== source.size) return refuse(`${source.size - position} bytes follow the last tensor.`);
  return { size: dataStart, entries, metadata };
}

/**
 * Bytes of one tensor as float32.
 * @throws Problem('invalid-safetensors') for a type that is no kind of float or int8; ('non-finite-weights'), when `finite`
 *   is asked for; both name the tensor
 */
export function decodeTensor(
  name: string,
  entry: Pick<SafetensorsEntry, 'dtype' | 'shape'>,
  bytes: Uint8Array,
  options: { readonly finite?: boolean } = {},
): Tensor {
  const data = decodeNumbers(name, entry.dtype, bytes);
  if (options.finite) {
    let bad = 0;
    for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) bad++;
    if (bad > 0) {
      throw new Problem(
        'non-finite-weights',
        `Tensor "${name}" has ${bad} values that are NaN or infinite. The weights are damaged; export them again.`,
        { tensor: name, count: bad },
      );
    }
  }
  return { shape: entry.shape, data };
}

function decodeNumbers(name: string, dtype: AnyType, bytes: Uint8Array): Float32Array {
  switch (dtype) {
    case 'F16':
      return decodeHalf(bytes);
    case 'BF16':
      return decodeBrainFloat(bytes);
    case 'I8':
      return Float32Array.from(new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    case 'F32':
      return new Float32Array(ownBuffer(bytes));
    case 'F64':
      return Float32Array.from(new Float64Array(ownBuffer(bytes)));
    default:
      throw new Problem(
        'invalid-safetensors',
        `Tensor "${name}" has type ${dtype}; weights can be F32, F16, BF16, F64 or I8. Convert the file.`,
        { tensor: name, dtype },
      );
  }
}

/**
 * The buffer of bytes that have one to themselves; else a copy, which aligns them and lets go of the file's buffer. (`slice`
 * of a Buffer would be a view.)
 */
function ownBuffer(bytes: Uint8Array): ArrayBuffer {
  const { buffer, byteLength } = bytes;
  const alone = buffer instanceof ArrayBuffer && buffer.byteLength === byteLength;
  return alone ? buffer : new Uint8Array(bytes).buffer;
}

/** All tensors of a file, float32. */
export async function readSafetensors(
  source: ByteSource,
  options: { readonly finite?: boolean } = {},
): Promise<Map<string, Tensor>> {
  const header = await readSafetensorsHeader(source);
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of header.entries) {
    tensors.set(name, decodeTensor(name, entry, await source.read(entry.start, entry.end), options));
  }
  return tensors;
}

export interface LayoutEntry {
  readonly name: string;
  readonly dtype: SafetensorsType;
  readonly shape: readonly number[];
}

/**
 * The length word and header of a safetensors file whose data section holds the entries in the given order.
 * @returns the bytes (padded with spaces to a multiple of 8, as the reference writer does) and each entry's absolute range
 */
export function encodeSafetensorsHeader(
  entries: readonly LayoutEntry[],
  metadata: Readonly<Record<string, string>> = {},
): { bytes: Uint8Array; entries: Map<string, SafetensorsEntry> } {
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  const relative = new Map<string, SafetensorsEntry>();
  let offset = 0;
  for (const { name, dtype, shape } of entries) {
    const end = offset + shape.reduce((product, side) => product * side, BYTES_PER_ELEMENT[dtype]);
    header[name] = { dtype, shape, data_offsets: [offset, end] };
    relative.set(name, { dtype, shape, start: offset, end });
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, 8);
  const absolute = new Map<string, SafetensorsEntry>();
  for (const [name, entry] of relative) {
    absolute.set(name, { ...entry, start: entry.start + bytes.length, end: entry.end + bytes.length });
  }
  return { bytes, entries: absolute };
}

/** A whole safetensors file of float32 tensors, in the map's order. */
export function encodeSafetensors(tensors: ReadonlyMap<string, Tensor>): Uint8Array {
  const layout = [...tensors].map(([name, { shape }]) => ({ name, dtype: 'F32' as const, shape }));
  const { bytes, entries } = encodeSafetensorsHeader(layout);
  const last = Math.max(bytes.length, ...[...entries.values()].map((entry) => entry.end));
  const file = new Uint8Array(last);
  file.set(bytes);
  for (const [name, { data }] of tensors) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), entries.get(name)?.start ?? 0);
  }
  return file;
}

/** A byte source over bytes in memory. */
export function memorySource(name: string, bytes: Uint8Array): ByteSource {
  return { name, size: bytes.length, read: async (start, end) => bytes.subarray(start, end) };
}
