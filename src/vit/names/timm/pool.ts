import type { VitConfig } from '../../config.ts';
import type { TimmNetwork } from '../../config-json/index.ts';
import type { AttentionPoolNames } from '../network-names.ts';
import type { SourceTensors } from '../source-tensors.ts';

/** Where timm keeps its attention pool (`AttentionPoolLatent`). */
export const TIMM_POOL: AttentionPoolNames = {
  probe: 'attn_pool.latent',
  query: { weight: 'attn_pool.q.weight', bias: 'attn_pool.q.bias' },
  keyValue: { weight: 'attn_pool.kv.weight', bias: 'attn_pool.kv.bias' },
  proj: 'attn_pool.proj',
  norm: 'attn_pool.norm',
  fc1: 'attn_pool.mlp.fc1',
  fc2: 'attn_pool.mlp.fc2',
};

type PoolConfig = Pick<VitConfig, 'pool' | 'poolTokens' | 'attentionPool'>;

/** How timm pools, and which tokens it reads. */
export function poolConfig(source: SourceTensors, timm: TimmNetwork): PoolConfig {
  const prefixed = timm.cls || timm.registers > 0;
  switch (timm.pool) {
    case 'token':
      return { pool: 'cls', attentionPool: null };
    case 'avg':
      return {
        pool: 'mean',
        ...(timm.poolsPrefix && prefixed && { poolTokens: 'all' }),
        attentionPool: null,
      };
    case 'map':
      return {
        pool: 'attention',
        ...(!timm.poolsPrefix && prefixed && { poolTokens: 'patches' }),
        attentionPool: {
          heads: timm.poolHeads,
          channels: source.side('attn_pool.mlp.fc1.weight', 0),
        },
      };
  }
}
