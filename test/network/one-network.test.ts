import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const SRC = join(import.meta.dirname, '../../src');
/** What a Vision Transformer computes, by the names that its functions bear and the operators that it is written in. */
const MATHEMATICS = [
  /\b(softmax|layerNorm|gelu|tanhGelu|swish|erf|attend|attention|clsAttention)\w*\(/i,
  /\b(bestPairs|similarit|(choose|apply)Merge|mergeTokens|mergedMean|keySizes|rotat(e|ary)(?!Left))\w*\(/i,
  /'(Softmax|LayerNormalization|SimplifiedLayerNormalization|Gelu|Erf|Attention|TopK|ArgMax|ScatterND)'/,
];

/** The files below a folder in whose code, comments aside, one of the patterns occurs, with the line. */
async function found(folder: string, exclude: RegExp): Promise<string[]> {
  const entries = await readdir(join(SRC, folder), { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name).slice(SRC.length + 1))
    .filter((path) => !exclude.test(path));
  const hits = await Promise.all(
    paths.map(async (path) => {
      const code = (await readFile(join(SRC, path), 'utf8')).replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
      const lines = code.split('\n').filter((line) => MATHEMATICS.some((pattern) => pattern.test(line)));
      return lines.map((line) => `${path}: ${line.trim()}`);
    }),
  );
  return hits.flat();
}

describe('the network', () => {
  it('is written in src/network and nowhere else', async () => {
    // Runtimes have tables of operators: what a node computes, and nothing of networks. config-json/ knows what others call layers.
    expect(await found('', /^(network|engine\/runtime|vit\/config-json)\//)).toEqual([]);
  });

  it.each(MATHEMATICS)('would be found: %s', async (pattern) => {
    const lines = await found('network', /^$/);
    expect(lines.filter((line) => pattern.test(line))).not.toEqual([]);
  });
});
