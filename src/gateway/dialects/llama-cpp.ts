import { z } from 'zod';
import { budgetFromBody } from '../../budget/index.ts';
import { Problem } from '../../problem/index.ts';
import { decimals, type ImageItem, textNotSupported } from '../image-input.ts';
import { embedOperation, ref } from '../operation.ts';
import { problemBody } from '../problem-response.ts';
import type { Route } from '../route.ts';
import { imageRoute } from '../serve-images.ts';
import type { Asked, Dialect } from './dialect.ts';
import { acceptJson, budgetMember, parseJson } from './json-body.ts';

const PATH = '/embeddings';

const PromptSchema = z.object({
  prompt_string: z.string().nullish().describe('The picture alone: its marker'),
  multimodal_data: z.array(z.string()).length(1).describe('Base64 of a picture'),
});
const ContentSchema = z.union([PromptSchema, z.string().describe('Refused: this model embeds images')]);

/** llama.cpp's own embeddings (tools/server/README.md, "POST /embeddings"), with one picture in each prompt. */
const RequestSchema = z.object({
  model: z.string().nullish(),
  content: z.union([ContentSchema, z.array(ContentSchema).min(1)]),
  compute_budget: budgetMember,
});

/** The marker of a picture, and nothing but it. */
const MARKER = /^\s*(<__[^<>]*__>|<image>|\[img-\d+\])?\s*$/i;

const embed: Dialect<Asked> = {
  path: PATH,
  problem: {
    contentType: 'application/json',
    body: (problem, requestId) => ({
      error: { ...problemBody(problem, requestId).error, code: problem.status },
      code: problem.code,
    }),
  },
  operation: embedOperation({
    operationId: 'llamaCppEmbeddings',
    summary: "Embed images as llama.cpp's server does",
    request: { 'application/json': ref('LlamaCppRequest') },
    answer: { 'application/json': { type: 'array', items: { type: 'object' } } },
    description: 'A list of `{index, embedding: [[…]]}`.',
    errors: { type: 'object', properties: { error: { type: 'object' } } },
  }),
  schemas: { LlamaCppRequest: { schema: RequestSchema, io: 'input' } },
  accept: (head) => acceptJson(head.header('Content-Type'), PATH),
  parse(bytes) {
    const { model, content, compute_budget } = parseJson(bytes, {
      schema: RequestSchema,
      example: '{"content": [{"prompt_string": "<__media__>", "multimodal_data": ["base64 of a picture"]}]}',
      expected: '{"content": [{"prompt_string", "multimodal_data": [one picture]}]}',
    });
    return {
      images: (Array.isArray(content) ? content : [content]).map(promptImage),
      model: model ?? undefined,
      vector: { normalize: true },
      budget: budgetFromBody(compute_budget),
      failure: 'request',
    };
  },
  render: ({ results }) => ({
    body: results.flatMap((result, index) =>
      'vector' in result ? [{ index, embedding: [decimals(result.vector)] }] : [],
    ),
  }),
};

function promptImage(prompt: z.output<typeof ContentSchema>): ImageItem {
  if (typeof prompt === 'string') return textNotSupported(prompt);
  const { prompt_string: words, multimodal_data: data } = prompt;
  if (words && !MARKER.test(words)) return textNotSupported(words);
  return data[0] ?? new Problem('malformed-body', 'content: there is no picture in "multimodal_data".');
}

/** llama.cpp's server, as Frigate asks it. */
export const llamaCpp: readonly Route[] = [imageRoute(embed)];
