import { basename, dirname } from 'node:path';
import { z } from 'zod';

/**
 * A process that runs an exported ViT in `@huggingface/transformers`, offline. Its parent sends an {@link OpenSchema} once and
 * then the word `run` as often as it likes; every answer has the milliseconds that it took.
 */
const OpenSchema = z.object({
  folder: z.string(),
  threads: z.number(),
  dims: z.array(z.number()),
  pixels: z.instanceof(Float32Array),
});

/** The part of the library that is used; it has its own types only where it is installed. */
interface Library {
  readonly env: { allowRemoteModels: boolean; localModelPath: string };
  readonly AutoModel: {
    from_pretrained(
      name: string,
      options: object,
    ): Promise<(inputs: object) => Promise<{ last_hidden_state: { data: Float32Array; dims: number[] } }>>;
  };
  readonly Tensor: new (type: string, data: Float32Array, dims: readonly number[]) => object;
}

const { env, AutoModel, Tensor } = (await import('@huggingface/transformers' as string)) as Library; // see above

let embed: () => Promise<Float32Array> = () => Promise.reject(new Error('nothing was opened'));

async function open(message: unknown): Promise<void> {
  const { folder, threads, dims, pixels } = OpenSchema.parse(message);
  env.allowRemoteModels = false;
  env.localModelPath = dirname(folder);
  const model = await AutoModel.from_pretrained(basename(folder), {
    local_files_only: true,
    dtype: 'fp32',
    device: 'cpu',
    session_options: { intraOpNumThreads: threads, interOpNumThreads: 1 },
  });
  const input = new Tensor('float32', pixels, dims);
  const images = dims[0] ?? 1;
  embed = async () => {
    const { last_hidden_state } = await model({ pixel_values: input });
    const [, tokens = 0, width = 0] = last_hidden_state.dims;
    const embeddings = new Float32Array(images * width);
    for (let image = 0; image < images; image++) {
      const first = image * tokens * width;
      embeddings.set(last_hidden_state.data.subarray(first, first + width), image * width);
    }
    return embeddings;
  };
}

process.on('message', async (message) => {
  const began = performance.now();
  try {
    const embedding = message === 'run' ? await embed() : await open(message);
    process.send?.({ ms: performance.now() - began, embedding });
  } catch (error) {
    process.send?.({ error: String(error) });
  }
});
process.on('disconnect', () => process.exit());
