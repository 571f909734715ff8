import { z } from 'zod';
import { isProblem, Problem } from '../../../problem/index.ts';
import {
  decodeTensor,
  elementOf,
  memorySource,
  readSafetensorsHeader,
  type SafetensorsHeader,
} from '../../../vit/index.ts';
import type { UnitScores } from '../../contracts.ts';
import { range } from '../../data/ordered.ts';
import type { Protection } from '../../units/ranking.ts';

/** Importance scores as SnapViT's authors release them. */
export interface ReleasedScores {
  /** Local scores with the evolved factors already multiplied in. */
  readonly scores: UnitScores;
  readonly protection: Protection;
  readonly shape: {
    readonly depth: number;
    readonly heads: number;
    readonly headDim: number;
    readonly channels: number;
    readonly width: number;
  };
  /** `deit-vit-b-16` */
  readonly model: string;
}

const CONVERTER = 'tools/released-scores/to_safetensors.py';
/** First bytes of a zip archive, which a `.pt` file is. */
const ZIP = 0x04034b50;

/** safetensors keeps metadata as strings. */
const number = z.string().regex(/^[0-9.e-]+$/i, 'must be a number');
const positive = number.transform(Number).pipe(z.number().int().positive().max(1_000_000));
const share = number.transform(Number).pipe(z.number().min(0).max(1));
const MetadataSchema = z.object({
  model_type: z.string(),
  num_blocks: positive,
  hidden_dim: positive,
  embed_dim: positive,
  num_heads: positive,
  head_dim: positive,
  min_hidden_dim_keep_ratio: share,
  min_head_keep_ratio: share,
});

/**
 * Reads released scores that `tools/released-scores/to_safetensors.py` converted: `head_scores` `[B, H]`, `mlp_scores` `[B, M]` and
 * what else the file said, as metadata.
 * @throws Problem('invalid-scores')
 */
export async function readScoresFile(bytes: Uint8Array): Promise<ReleasedScores> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length >= 4 && view.getUint32(0, true) === ZIP) {
    throw invalid(
      `it is a PyTorch file, which holds a pickle. Convert it: python3 ${CONVERTER} FILE.pt FILE.safetensors`,
    );
  }
  const header = await readSafetensorsHeader(memorySource('scores', bytes)).catch((cause: unknown) => {
    if (!isProblem(cause)) throw cause;
    throw new Problem('invalid-scores', `The scores file cannot be used. ${cause.message}`, {}, { cause });
  });
  const metadata = MetadataSchema.safeParse(header.metadata);
  if (!metadata.success) throw invalid(z.prettifyError(metadata.error));
  const { num_blocks: depth, num_heads: heads, hidden_dim: channels } = metadata.data;
  return {
    scores: {
      heads: rowsOf(bytes, header, 'head_scores', [depth, heads]),
      channels: rowsOf(bytes, header, 'mlp_scores', [depth, channels]),
    },
    protection: {
      heads: metadata.data.min_head_keep_ratio,
      channels: metadata.data.min_hidden_dim_keep_ratio,
    },
    shape: { depth, heads, channels, headDim: metadata.data.head_dim, width: metadata.data.embed_dim },
    model: metadata.data.model_type,
  };
}

function rowsOf(
  bytes: Uint8Array,
  { entries }: SafetensorsHeader,
  name: string,
  [rows, columns]: readonly [number, number],
): Float64Array[] {
  const entry = entries.get(name);
  if (entry?.dtype !== 'F32' || entry.shape.join() !== `${rows},${columns}`)
    throw invalid(`${name} is no float32 matrix of ${rows} x ${columns}`);
  const { data } = decodeTensor(name, entry, bytes.subarray(entry.start, entry.end));
  return range(rows).map((row) =>
    Float64Array.from({ length: columns }, (_, column) => elementOf(data, row * columns + column)),
  );
}

function invalid(why: string): Problem {
  return new Problem('invalid-scores', `The scores file cannot be used: ${why}.`);
}
