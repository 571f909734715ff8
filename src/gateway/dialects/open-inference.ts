import { z } from 'zod';
import { budgetFromBody } from '../../budget/index.ts';
import { Problem } from '../../problem/index.ts';
import { decimals, type ImageItem, imageOrText, littleEndian } from '../image-input.ts';
import { embedOperation, probeOperation, ref } from '../operation.ts';
import type { ProblemShape } from '../problem-response.ts';
import type { Route } from '../route.ts';
import { checkReady } from '../routes/health.ts';
import { imageRoute } from '../serve-images.ts';
import type { Answer, Asked, Dialect, Head, Rendered } from './dialect.ts';
import { parseJson } from './json-body.ts';

/** Where the JSON ends and the binary tensors begin (the protocol's binary data extension). */
const LENGTH_HEADER = 'Inference-Header-Content-Length';
const PLATFORM = 'concertina';

const Parameters = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).nullish();

/** KServe's Open Inference Protocol, version 2 (github.com/kserve/open-inference-protocol), REST. */
const RequestSchema = z.object({
  id: z.string().nullish(),
  parameters: Parameters.describe('compute_budget: as in the header; dimensions'),
  inputs: z
    .array(
      z.object({
        name: z.string(),
        shape: z.array(z.int().nonnegative()),
        datatype: z.string(),
        parameters: Parameters,
        data: z.array(z.unknown()).nullish(),
      }),
    )
    .length(1),
  outputs: z.array(z.object({ name: z.string(), parameters: Parameters })).nullish(),
});
type Request = z.output<typeof RequestSchema>;

interface AskedInference extends Asked {
  readonly id: string | undefined;
  readonly binary: boolean;
}

/** The protocol's errors are one sentence. */
const problem: ProblemShape = {
  contentType: 'application/json',
  body: ({ message, code }) => ({ error: message, code }),
};

const infer: Dialect<AskedInference> = {
  path: '/v2/models/:model/infer',
  problem,
  operation: embedOperation({
    operationId: 'infer',
    summary: 'Embed images by the Open Inference Protocol (KServe, Triton)',
    parameters: [{ name: 'model', in: 'path', required: true, schema: { type: 'string' } }],
    request: { 'application/json': ref('InferenceRequest') },
    answer: { 'application/json': { type: 'object' } },
    description: 'One output, `embedding`, FP32 `[n, width]`; binary where that is asked for.',
    errors: { type: 'object', properties: { error: { type: 'string' } } },
  }),
  schemas: { InferenceRequest: { schema: RequestSchema, io: 'input' } },
  parse(bytes, head) {
    const { json, tail } = split(bytes, head);
    const body = parseJson(json, {
      schema: RequestSchema,
      example: '{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["base64"]}]}',
      expected: '{"inputs": [one BYTES tensor of pictures], "outputs"?, "parameters"?}',
    });
    const { compute_budget, dimensions } = body.parameters ?? {};
    if (dimensions !== undefined && !(Number.isInteger(dimensions) && Number(dimensions) > 0))
      throw new Problem('malformed-body', 'parameters.dimensions: it is not a positive whole number.');
    return {
      images: imagesOf(body, tail),
      model: head.param('model'),
      vector: { dimensions: dimensions === undefined ? undefined : Number(dimensions), normalize: true },
      budget: budgetFromBody(compute_budget),
      failure: 'request',
      id: body.id ?? undefined,
      binary: wantsBinary(body),
    };
  },
  render(answer, { id, binary }) {
    const vectors = answer.results.flatMap((result) => ('vector' in result ? [result.vector] : []));
    const shape = [vectors.length, vectors[0]?.length ?? 0];
    const head = { model_name: answer.model.name, model_version: '1', ...(id !== undefined && { id }) };
    const output = { name: 'embedding', datatype: 'FP32', shape };
    if (binary) return asBinary(head, output, vectors);
    return { body: { ...head, outputs: [{ ...output, data: vectors.flatMap(decimals) }] } };
  },
};

function split(bytes: Uint8Array<ArrayBuffer>, head: Head): { json: Uint8Array; tail: Uint8Array } {
  const text = head.header(LENGTH_HEADER);
  if (text === undefined) return { json: bytes, tail: new Uint8Array(0) };
  const length = Number(text);
  if (!/^\d+$/.test(text) || length > bytes.length)
    throw new Problem('malformed-body', `${LENGTH_HEADER}: "${text.slice(0, 20)}" is not within the body.`);
  return { json: bytes.subarray(0, length), tail: bytes.subarray(length) };
}

function imagesOf({ inputs }: Request, tail: Uint8Array): ImageItem[] {
  const [input] = inputs;
  if (input?.datatype !== 'BYTES')
    throw new Problem(
      'malformed-body',
      `inputs.0.datatype: pictures are BYTES, encoded (JPEG, PNG, …), not ${input?.datatype.slice(0, 20)}.`,
    );
  const count = input.shape.reduce((product, side) => product * side, 1);
  const size = input.parameters?.binary_data_size;
  const images = size === undefined ? stringsOf(input.data ?? []) : elementsOf(tail, Number(size));
  if (images.length !== count || count === 0)
    throw new Problem(
      'malformed-body',
      `inputs.0: the shape [${input.shape.slice(0, 8).join(', ')}] stands for ${count} pictures, and there are ${images.length}.`,
    );
  return images;
}

function stringsOf(data: readonly unknown[]): ImageItem[] {
  return data.flat(8).map((item, index) => {
    if (typeof item === 'string') return imageOrText(item);
    throw new Problem(
      'malformed-body',
      `inputs.0.data.${index}: it is no string. In JSON pictures are base64.`,
    );
  });
}

/** Elements of a BYTES tensor: four bytes of length, little-endian, and so many bytes. */
function elementsOf(tail: Uint8Array, size: number): Uint8Array[] {
  const bad = new Problem(
    'malformed-body',
    'inputs.0: the binary data does not have the length that it says.',
  );
  if (size !== tail.length) throw bad;
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  const elements: Uint8Array[] = [];
  for (let at = 0; at < size; ) {
    const length = at + 4 <= size ? view.getUint32(at, true) : Number.POSITIVE_INFINITY;
    if (at + 4 + length > size) throw bad;
    elements.push(tail.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return elements;
}

function wantsBinary({ parameters, outputs }: Request): boolean {
  const [output] = outputs ?? [];
  if (output && output.name !== 'embedding')
    throw new Problem(
      'malformed-body',
      `outputs.0: there is no output "${output.name.slice(0, 40)}". There is "embedding".`,
    );
  return (output?.parameters?.binary_data ?? parameters?.binary_data_output ?? false) === true;
}

function asBinary(head: object, output: object, vectors: readonly Float32Array[]): Rendered {
  const tensors = vectors.map(littleEndian);
  const size = tensors.reduce((sum, { length }) => sum + length, 0);
  const outputs = [{ ...output, parameters: { binary_data_size: size } }];
  const json = new TextEncoder().encode(JSON.stringify({ ...head, outputs }));
  const body = new Uint8Array(json.length + size);
  body.set(json);
  let at = json.length;
  for (const tensor of tensors) {
    body.set(tensor, at);
    at += tensor.length;
  }
  return { body, headers: { [LENGTH_HEADER]: String(json.length) } };
}

const open = (
  path: string,
  operation: readonly [id: string, summary: string],
  handler: Route['handler'],
  needs: Route['needs'] = 'models',
): Route => ({
  method: 'GET',
  path,
  access: 'open',
  needs,
  problem,
  operation: probeOperation(...operation),
  handler,
});
/** Of one model. */
function keyed(...route: Parameters<typeof open>): Route {
  const { operation, ...rest } = open(...route);
  const model = { name: 'model', in: 'path', required: true, schema: { type: 'string' } };
  return { ...rest, ...(operation && { operation: { ...operation, parameters: [model] } }), access: 'keyed' };
}

/** KServe's Open Inference Protocol, as Triton speaks it too. */
export const openInference: readonly Route[] = [
  imageRoute(infer),
  open(
    '/v2/health/live',
    ['serverLive', 'Open Inference Protocol: whether the server lives'],
    () => (c) => c.json({ live: true }),
    'nothing',
  ),
  open(
    '/v2/health/ready',
    ['serverReady', 'Open Inference Protocol: whether the server is ready'],
    (parts) => (c) => {
      checkReady(parts);
      return c.json({ ready: true });
    },
  ),
  open(
    '/v2',
    ['serverMetadata', 'Open Inference Protocol: what the server is'],
    ({ version }) =>
      (c) =>
        c.json({ name: PLATFORM, version, extensions: ['binary_tensor_data'] }),
    'nothing',
  ),
  keyed(
    '/v2/models/:model',
    ['modelMetadata', 'Open Inference Protocol: what goes in and what comes out'],
    ({ registry }) =>
      (c) => {
        const model = registry.get(c.req.param('model'));
        return c.json({
          name: model.name,
          versions: ['1'],
          platform: PLATFORM,
          inputs: [{ name: 'image', datatype: 'BYTES', shape: [-1] }],
          outputs: [{ name: 'embedding', datatype: 'FP32', shape: [-1, model.config.embeddingWidth] }],
        });
      },
  ),
  keyed(
    '/v2/models/:model/ready',
    ['modelReady', 'Open Inference Protocol: whether a model is ready'],
    ({ registry }) =>
      (c) => {
        const model: Answer['model'] = registry.get(c.req.param('model'));
        return c.json({ name: model.name, ready: true });
      },
  ),
];
