/**
 * Writes the manifests of deploy/knative and deploy/kubernetes from deploy/tiers.yaml:
 * `node deploy/kubernetes/render.ts [--image …] [--store s3://…] [--role-arn …] [--device cuda] [--gateway name]
 * [--prometheus http://…] [--out folder]`
 */
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { parse, stringify } from 'yaml';
import { parseTiers } from '../../src/serving/index.ts';
import {
  httpRoute,
  knativeService,
  kubernetesObjects,
  type Manifest,
  type ManifestOptions,
  serviceAccount,
  tiersConfig,
} from './manifests.ts';
import { scaledTiers, TIERS_FILE } from './tiers.ts';

export const DEFAULTS: ManifestOptions = {
  image: 'registry.example.com/concertina:0.1.0',
  store: 's3://concertina-models/models',
  gateway: 'public',
  prometheus: 'http://prometheus.monitoring.svc:9090',
};

/** Every file of both platforms, by its path under `deploy`. */
export function render(options: ManifestOptions): Map<string, readonly Manifest[]> {
  const text = readFileSync(TIERS_FILE, 'utf8');
  const files = new Map<string, readonly Manifest[]>();
  const tiers = scaledTiers(text);
  const common = [tiersConfig(text), serviceAccount(options)];
  files.set('knative/tiers.yaml', common);
  const byDefault = Object.entries(parseTiers(parse(text))).find(([, tier]) => tier.default)?.[0];
  files.set('kubernetes/tiers.yaml', [...common, httpRoute(tiers, byDefault, options)]);
  for (const tier of tiers) {
    files.set(`knative/${tier.name}.yaml`, [knativeService(tier, options)]);
    files.set(`kubernetes/${tier.name}.yaml`, kubernetesObjects(tier, options));
  }
  return files;
}

export function asText(manifests: readonly Manifest[]): string {
  const head = '# Written by deploy/kubernetes/render.ts from deploy/tiers.yaml; change those.\n';
  return head + manifests.map((manifest) => stringify(manifest, { lineWidth: 0 })).join('---\n');
}

if (import.meta.main) {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      ...{ image: text, store: text, 'role-arn': text, device: text, gateway: text, prometheus: text },
      out: text,
    },
  });
  const { out = join(import.meta.dirname, '..'), device = 'cpu', 'role-arn': roleArn, ...rest } = values;
  if (device !== 'cpu' && device !== 'cuda') throw new Error('--device is cpu or cuda.');
  const given = { ...rest, device, roleArn } as const;
  for (const [path, manifests] of render({ ...DEFAULTS, ...given })) {
    await mkdir(dirname(join(out, path)), { recursive: true });
    await writeFile(join(out, path), asText(manifests));
  }
}
