import { probeOperation } from '../operation.ts';
import type { Route } from '../route.ts';
import { checkReady } from '../routes/health.ts';
import { imageRoute } from '../serve-images.ts';
import type { Asked, Dialect, Head } from './dialect.ts';
import { type AskedEmbeddings, embeddings } from './openai.ts';
import { type AskedRaw, embed } from './raw.ts';

interface AskedInvocation extends Asked {
  readonly by: { readonly openai: AskedEmbeddings } | { readonly raw: AskedRaw };
}

const isJson = (head: Head): boolean => /^application\/json\b/i.test(head.header('Content-Type') ?? '');

/** SageMaker's container contract: JSON is what `/v1/embeddings` takes, anything else what `/v1/embed` takes. */
const invocations: Dialect<AskedInvocation> = {
  path: '/invocations',
  operation: {
    ...(embeddings.operation ?? { responses: {} }),
    operationId: 'invocations',
    summary: "Embed images behind SageMaker's endpoints: JSON as /v1/embeddings, pictures as /v1/embed",
  },
  accept(head, parts) {
    if (!isJson(head)) embed.accept?.(head, parts);
  },
  async parse(body, head) {
    if (isJson(head)) {
      const openai = await embeddings.parse(body, head);
      return { ...openai, by: { openai } };
    }
    const raw = await embed.parse(body, head);
    return { ...raw, by: { raw } };
  },
  render: (answer, { by }) =>
    'openai' in by ? embeddings.render(answer, by.openai) : embed.render(answer, by.raw),
};

/** SageMaker's container contract (docs.aws.amazon.com, "Custom Inference Code with Hosting Services"). */
export const sagemaker: readonly Route[] = [
  imageRoute(invocations),
  {
    method: 'GET',
    path: '/ping',
    access: 'open',
    needs: 'models',
    operation: probeOperation('ping', 'Whether the gateway is ready (SageMaker, immich)'),
    // immich asks here too, and looks at the status alone as SageMaker does.
    handler: (parts) => (c) => {
      checkReady(parts);
      return c.text('pong');
    },
  },
];
