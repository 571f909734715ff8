import { Validator } from '@seriousme/openapi-schema-validator';
import { describe, expect, it } from 'vitest';
import { openApiDocument } from '../../src/gateway/index.ts';
import { PROBLEMS } from '../../src/problem/index.ts';

describe('the OpenAPI document', () => {
  it('is valid OpenAPI 3.1', async () => {
    const validator = new Validator();
    const result = await validator.validate(structuredClone(openApiDocument('1.2.3')));
    expect(result.errors ?? []).toEqual([]);
    expect(result.valid).toBe(true);
    expect(validator.version).toBe('3.1');
  });

  it('resolves every reference and documents problems under the status that they have', () => {
    const document = openApiDocument('1.2.3');
    const text = JSON.stringify(document);
    for (const [, name] of text.matchAll(/#\/components\/schemas\/(\w+)/g))
      expect(document.components.schemas).toHaveProperty(name ?? '');
    const responses = document.paths['/v1/embeddings'].post.responses as Record<
      string,
      { description: string }
    >;
    for (const [status, { description }] of Object.entries(responses))
      for (const [, code] of description.matchAll(/`([\w-]+)`:/g))
        expect(String(PROBLEMS[code as keyof typeof PROBLEMS]?.status)).toBe(status);
  });
});
