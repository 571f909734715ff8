import { Problem } from '../problem/index.ts';
import { elementOf, keepsAll, unitCount, unitKinds } from '../vit/index.ts';
import type { Manifest } from './manifest.ts';

/**
 * What the schema cannot say: ranges cover the file without gaps, tensors lie inside it, levels are nested, as long as the
 * network is deep, and end with the full network; nothing is merged where there are no keys.
 * @throws Problem('invalid-checkpoint')
 */
export function checkManifest(manifest: Manifest): void {
  const refuse = (what: string): never => {
    throw new Problem('invalid-checkpoint', what);
  };
  const { config, ladder, weights } = manifest;
  let at = 0;
  let level = 0;
  for (const range of weights.ranges) {
    if (range.start !== at || range.end <= range.start)
      refuse(`Its ranges leave a gap or overlap at byte ${at}.`);
    if (range.level < level || range.level >= ladder.length)
      refuse(`Its ranges are not in level order at byte ${at}.`);
    if (range.end > elementOf(ladder, range.level).end)
      refuse(`A range of level ${range.level} reaches beyond the level.`);
    at = range.end;
    level = range.level;
  }
  if (at !== weights.size) refuse(`Its ranges cover ${at} of ${weights.size} bytes.`);
  for (const [name, tensor] of Object.entries(weights.tensors)) {
    const bytes = tensor.shape.reduce(
      (product, side) => product * side,
      { F32: 4, F16: 2, I8: 1 }[tensor.dtype],
    );
    if (tensor.start < weights.header || tensor.end > weights.size || tensor.end - tensor.start !== bytes) {
      refuse(`Tensor "${name}" does not lie inside the weights file.`);
    }
  }
  ladder.forEach((current, index) => {
    const before = ladder[index - 1];
    if (before && current.end < before.end) refuse(`Level ${index} ends before level ${index - 1}.`);
    const kinds = unitKinds(config);
    for (const kind of new Set([...kinds, 'heads', 'merge'] as const)) {
      // None of a kind that the network has is none too few.
      const counts = current[kind]?.length ?? 0;
      if (counts !== config.depth)
        refuse(`Level ${index} has ${counts} ${kind} counts for ${config.depth} blocks.`);
    }
    for (const kind of kinds) {
      current[kind]?.forEach((kept, block) => {
        const all = unitCount(config, kind);
        if (kept > all) refuse(`Level ${index} keeps ${kept} of ${all} ${kind} in block ${block}.`);
        // Below the smallest level there is nothing.
        if (kept < (before?.[kind]?.[block] ?? 0)) refuse(`Level ${index} is not nested in block ${block}.`);
      });
    }
    if (kinds.includes('values')) {
      for (const kind of ['queries', 'values'] as const) {
        if (current[kind]?.includes(0)) refuse(`Level ${index} keeps none of the ${kind} of a block.`);
      }
      if (current.heads.some((kept) => kept !== config.heads))
        refuse(`Level ${index} leaves out heads, where dimensions are units.`);
    }
    current.merge.forEach((merged, block) => {
      if (merged > 0 && current.heads[block] === 0)
        refuse(`Level ${index} merges tokens in block ${block}, which has no heads.`);
    });
  });
  const last = ladder.at(-1);
  const full = last && keepsAll(config, last);
  if (!full || last?.merge.some((merged) => merged > 0)) refuse('Its last level is not the full network.');
}
