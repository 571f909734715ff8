/** What API Gateway's HTTP API (payload 2.0) and a function URL send, as recorded; the body is put in. */
export function lambdaEvent(
  path: string,
  body: Uint8Array,
  headers: Record<string, string>,
  method = 'POST',
): Record<string, unknown> {
  return {
    version: '2.0',
    routeKey: 'ANY /standard/{proxy+}',
    rawPath: path,
    rawQueryString: '',
    headers: {
      accept: '*/*',
      'content-length': String(body.length),
      host: 'abc123.execute-api.eu-central-1.amazonaws.com',
      'user-agent': 'curl/8.9.1',
      'x-amzn-trace-id': 'Root=1-6743-abcdef',
      'x-forwarded-for': '203.0.113.7',
      'x-forwarded-port': '443',
      'x-forwarded-proto': 'https',
      ...headers,
    },
    requestContext: {
      accountId: '123456789012',
      apiId: 'abc123',
      authentication: null,
      authorizer: {},
      domainName: 'abc123.execute-api.eu-central-1.amazonaws.com',
      domainPrefix: 'abc123',
      http: { method, path, protocol: 'HTTP/1.1', sourceIp: '203.0.113.7', userAgent: 'curl/8.9.1' },
      requestId: 'JKJaXmPLvHcESHA=',
      routeKey: 'ANY /standard/{proxy+}',
      stage: '$default',
      time: '24/Nov/2026:02:00:00 +0000',
      timeEpoch: 1795485600000,
    },
    body: Buffer.from(body).toString('base64'),
    isBase64Encoded: true,
  };
}
