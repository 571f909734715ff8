import { describe, expect, it } from 'vitest';
import { HeldBytes } from '../../src/gateway/held-bytes.ts';

describe('bytes that all bodies hold together', () => {
  it('are bounded; a request that is done makes room', () => {
    const held = new HeldBytes(100);
    const [first, second] = [held.lease(), held.lease()];
    first.take(60);
    second.take(40);
    expect(() => second.take(1)).toThrow(/as much as they may/);
    first.release();
    first.release();
    second.take(60);
    expect(() => held.lease().take(1)).toThrow(expect.objectContaining({ code: 'overloaded' }));
    second.release();
    held.lease().take(100);
  });
});
