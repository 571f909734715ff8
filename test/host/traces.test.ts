import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { gatewayLog, type RunningServer, startServer, traceSettings } from '../../src/host/index.ts';
import { picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';
import { until } from '../support/until.ts';

/** What the protocol says a collector may rely on (opentelemetry-proto, trace.proto, JSON mapping). */
const BodySchema = z.strictObject({
  resourceSpans: z.array(
    z.strictObject({
      resource: z.strictObject({ attributes: z.array(z.unknown()) }),
      scopeSpans: z.array(
        z.strictObject({
          scope: z.strictObject({ name: z.string(), version: z.string() }),
          spans: z.array(
            z.strictObject({
              traceId: z.string().regex(/^[0-9a-f]{32}$/),
              spanId: z.string().regex(/^[0-9a-f]{16}$/),
              parentSpanId: z
                .string()
                .regex(/^[0-9a-f]{16}$/)
                .optional(),
              traceState: z.string().optional(),
              name: z.string(),
              kind: z.union([z.literal(1), z.literal(2)]),
              startTimeUnixNano: z.string().regex(/^\d{19}$/),
              endTimeUnixNano: z.string().regex(/^\d{19}$/),
              attributes: z.array(
                z.strictObject({
                  key: z.string(),
                  value: z.strictObject({
                    stringValue: z.string().optional(),
                    intValue: z
                      .string()
                      .regex(/^-?\d+$/)
                      .optional(),
                    doubleValue: z.number().optional(),
                    boolValue: z.boolean().optional(),
                  }),
                }),
              ),
              status: z.strictObject({ code: z.literal(2).optional() }),
            }),
          ),
        }),
      ),
    }),
  ),
});
type CollectedSpan = z.infer<
  typeof BodySchema
>['resourceSpans'][number]['scopeSpans'][number]['spans'][number];

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const CALLER = 'b7ad6b7169203331';

describe('traces', () => {
  let collector: Server;
  let spans: CollectedSpan[];
  let received: {
    readonly path: string | undefined;
    readonly token: string | undefined;
    readonly body: string;
  }[];
  let server: RunningServer;
  let image: Uint8Array<ArrayBuffer>;
  let endpoint: string;
  const lines: string[] = [];

  beforeAll(async () => {
    spans = [];
    received = [];
    collector = createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      received.push({ path: request.url, token: String(request.headers['x-token']), body });
      const parsed = BodySchema.parse(JSON.parse(body));
      for (const { scopeSpans } of parsed.resourceSpans)
        for (const scope of scopeSpans) spans.push(...scope.spans);
      response.setHeader('Content-Type', 'application/json').end('{}');
    });
    await new Promise<void>((done) => collector.listen(0, '127.0.0.1', done));
    const address = collector.address();
    endpoint = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
    server = await startServer({
      store: await tinyStore(),
      port: 0,
      workers: 1,
      log: gatewayLog('json', (line) => lines.push(line)),
      traces: traceSettings({
        OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
        OTEL_EXPORTER_OTLP_HEADERS: 'x-token=a%20secret',
        OTEL_SERVICE_NAME: 'embedder',
        OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=test',
        OTEL_BSP_SCHEDULE_DELAY: '50',
      }),
    });
    await server.loaded();
    image = await picture();
  });
  afterAll(async () => {
    await server.close();
    collector.close();
  });

  const send = (headers: Record<string, string> = {}, body: Uint8Array<ArrayBuffer> = image) =>
    fetch(`${server.url}/v1/embed`, {
      method: 'POST',
      body,
      headers: { 'Content-Type': 'image/png', ...headers },
    });
  /** The spans of a trace once they have been collected. */
  async function traceOf(id: string, least = 1): Promise<CollectedSpan[]> {
    await until(() => spans.filter(({ traceId }) => traceId === id).length >= least);
    return spans.filter(({ traceId }) => traceId === id);
  }
  const attribute = (span: CollectedSpan | undefined, name: string) =>
    Object.values(span?.attributes.find(({ key }) => key === name)?.value ?? {})[0];

  it('hold a span for the request in its caller’s trace, and one for each phase inside it', async () => {
    const response = await send({ traceparent: `00-${TRACE}-${CALLER}-01`, tracestate: 'vendor=1' });
    const trace = await traceOf(TRACE, 6);
    expect(trace.map(({ name }) => name).sort()).toEqual(
      ['POST /v1/embed', 'decode', 'infer', 'queue', 'receive', 'respond'].sort(),
    );
    const [root] = trace.filter(({ kind }) => kind === 2);
    expect(root).toMatchObject({ parentSpanId: CALLER, traceState: 'vendor=1', status: {} });
    expect(response.headers.get('traceresponse')).toBe(`00-${TRACE}-${root?.spanId}-01`);
    expect(attribute(root, 'http.response.status_code')).toBe('200');
    const phases = trace.filter(({ kind }) => kind === 1);
    for (const phase of phases) {
      expect(phase.parentSpanId).toBe(root?.spanId);
      expect(BigInt(phase.startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(root?.startTimeUnixNano ?? 0));
      // Microseconds of rounding.
      expect(BigInt(phase.endTimeUnixNano)).toBeLessThanOrEqual(BigInt(root?.endTimeUnixNano ?? 0) + 2000n);
    }
    // The same time that the answer's header tells, within its two digits.
    const infer = phases.find(({ name }) => name === 'infer');
    const ms = Number(BigInt(infer?.endTimeUnixNano ?? 0) - BigInt(infer?.startTimeUnixNano ?? 0)) / 1e6;
    const told = Number(/infer;dur=([\d.]+)/.exec(response.headers.get('Server-Timing') ?? '')?.[1]);
    expect(Math.abs(ms - told)).toBeLessThan(0.01);
    expect(attribute(infer, 'concertina.level')).toBe('2');
  });

  it('go to the collector of the environment, with its headers and the service’s name', async () => {
    await send({ traceparent: `00-${TRACE.replace('0af', '1af')}-${CALLER}-01` });
    await traceOf(TRACE.replace('0af', '1af'));
    expect(received[0]).toMatchObject({ path: '/v1/traces', token: 'a secret' });
    const { resourceSpans } = BodySchema.parse(JSON.parse(received[0]?.body ?? ''));
    expect(resourceSpans[0]?.resource.attributes).toEqual(
      expect.arrayContaining([
        { key: 'service.name', value: { stringValue: 'embedder' } },
        { key: 'deployment.environment', value: { stringValue: 'test' } },
      ]),
    );
  });

  it('are told on problem answers too, and name the problem', async () => {
    const response = await send({}, image.slice(0, 40));
    expect(response.status).toBe(422);
    const [, id = ''] =
      /^00-([0-9a-f]{32})-[0-9a-f]{16}-01$/.exec(response.headers.get('traceresponse') ?? '') ?? [];
    const root = (await traceOf(id)).find(({ kind }) => kind === 2);
    expect(root).not.toHaveProperty('parentSpanId');
    expect(attribute(root, 'error.type')).toBe('undecodable-image');
    const line = lines.find((text) => text.includes('undecodable-image'));
    expect(line).toContain(`"traceId":"${id}"`);
  });

  it('are not recorded when the caller does not sample; its context is passed on all the same', async () => {
    const id = TRACE.replace('0af', '2af');
    const response = await send({ traceparent: `00-${id}-${CALLER}-00` });
    expect(response.headers.get('traceresponse')).toMatch(new RegExp(`^00-${id}-[0-9a-f]{16}-00$`));
    await send({ traceparent: `00-${TRACE.replace('0af', '3af')}-${CALLER}-01` });
    await traceOf(TRACE.replace('0af', '3af'));
    expect(spans.filter(({ traceId }) => traceId === id)).toEqual([]);
  });

  it.each([
    '00-00000000000000000000000000000000-b7ad6b7169203331-01',
    `00-${TRACE}-0000000000000000-01`,
    `ff-${TRACE}-${CALLER}-01`,
    `00-${TRACE}-${CALLER}-01-more`,
    `00-${TRACE.toUpperCase()}-${CALLER}-01`,
    'nonsense',
  ])('begin anew where the caller’s context is invalid: %s', async (traceparent) => {
    const response = await send({ traceparent });
    expect(response.status).toBe(200);
    expect(response.headers.get('traceresponse')).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    expect(response.headers.get('traceresponse')).not.toContain(TRACE);
  });

  it('are off without an endpoint: no header, nothing sent', async () => {
    expect(traceSettings({})).toBeUndefined();
    expect(
      traceSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SDK_DISABLED: 'true' }),
    ).toBeUndefined();
    expect(
      traceSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_TRACES_EXPORTER: 'none' }),
    ).toBeUndefined();
    const plain = await startServer({ store: await tinyStore(), port: 0, workers: 1 });
    const response = await fetch(`${plain.url}/v1/models`, {
      headers: { traceparent: `00-${TRACE}-${CALLER}-01` },
    });
    expect(response.headers.get('traceresponse')).toBeNull();
    await plain.close();
  });

  it('name the variable that cannot be read', () => {
    const settings = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_TRACES_SAMPLER: 'sometimes' };
    expect(() => traceSettings(settings)).toThrow(/OTEL_TRACES_SAMPLER/);
    expect(() => traceSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector' })).toThrow(
      /OTEL_EXPORTER_OTLP_ENDPOINT/,
    );
  });

  it('sample the share of new traces that is asked for', () => {
    const settings = traceSettings({
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${endpoint}/custom`,
      OTEL_TRACES_SAMPLER: 'traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.25',
    });
    expect(settings).toMatchObject({ endpoint: `${endpoint}/custom`, sampler: 'traceidratio', ratio: 0.25 });
  });

  it('cost no request anything when the collector is gone: it is noted once', async () => {
    const notes: string[] = [];
    const log = { ...gatewayLog('none', () => {}), note: (message: string) => void notes.push(message) };
    const lost = await startServer({
      store: await tinyStore(),
      port: 0,
      workers: 1,
      log,
      traces: traceSettings({
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
        OTEL_BSP_SCHEDULE_DELAY: '10',
      }),
    });
    await lost.loaded();
    for (let i = 0; i < 4; i++) expect((await fetch(`${lost.url}/v1/models`)).status).toBe(200);
    await until(() => notes.length > 0);
    await lost.close();
    expect(notes.filter((note) => note.includes('being lost'))).toHaveLength(1);
  });
});
