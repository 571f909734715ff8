import { describe } from 'vitest';
import { storeSuite } from '../conformance/storage/suite.ts';
import { freshStore, gateway, NEEDS_GATEWAY } from './bucket.ts';

describe.skipIf(!gateway)(`against a RADOS Gateway ${NEEDS_GATEWAY}`, () => {
  storeSuite('s3', () => freshStore({ prefix: 'some/prefix' }));
});
