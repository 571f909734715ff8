import { describe, expect, it } from 'vitest';
import { checkManifests } from '../../deploy/kubernetes/check.ts';
import { knativeService, kubernetesObjects } from '../../deploy/kubernetes/manifests.ts';
import { asText, DEFAULTS } from '../../deploy/kubernetes/render.ts';
import { scaledTiers } from '../../deploy/kubernetes/tiers.ts';
import { manifestErrors } from '../../deploy/kubernetes/validate.ts';

const tiers = scaledTiers();
const gold = {
  ...(scaledTiers(
    'tiers: { gold: { scaling: { memoryMb: 3538, minReplicas: 0, maxReplicas: 9, concurrencyTarget: 2 } } }',
  )[0] ?? expect.fail('one tier')),
};

describe('the manifests of Knative and Kubernetes', () => {
  it('are committed as the tiers ask for, and keep their schemas', async () => {
    expect(await checkManifests()).toEqual([]);
    expect(tiers.map(({ name }) => name)).toEqual(['free', 'standard', 'premium']);
  });

  it('give every tier its own Knative Service, which scales on requests in work', () => {
    const { metadata, spec } = knativeService(gold, DEFAULTS);
    expect(metadata?.name).toBe('concertina-gold');
    expect(spec?.template?.metadata?.annotations).toMatchObject({
      'autoscaling.knative.dev/metric': 'concurrency',
      'autoscaling.knative.dev/target': '2',
      'autoscaling.knative.dev/min-scale': '0',
      'autoscaling.knative.dev/max-scale': '9',
    });
    // 3538 MB are two cores of Lambda's.
    expect(spec?.template?.spec?.containers[0]).toMatchObject({
      resources: { requests: { cpu: '2000m', memory: '3538Mi' } },
      readinessProbe: { httpGet: { path: '/readyz' } },
      livenessProbe: { httpGet: { path: '/livez' } },
    });
  });

  it('scale a Deployment with KEDA on the queue of its tier, never to zero', () => {
    const [deployment, service, , scaled] = kubernetesObjects(gold, DEFAULTS);
    expect(service.spec?.selector).toEqual(deployment.spec?.selector.matchLabels);
    expect(deployment.spec?.template.metadata?.labels).toMatchObject(service.spec?.selector ?? {});
    expect(scaled.spec).toMatchObject({
      scaleTargetRef: { name: 'concertina-gold' },
      minReplicaCount: 1,
      maxReplicaCount: 9,
      triggers: [{ type: 'prometheus', metadata: { threshold: '2' } }],
    });
    expect(scaled.spec.triggers[0]?.metadata.query).toContain('concertina_waiting{tier="gold"}');
  });

  it('are refused by their schemas where a value is wrong', () => {
    const service = structuredClone(knativeService(gold, DEFAULTS));
    expect(manifestErrors(service)).toEqual([]);
    expect(manifestErrors({ ...service, spec: { template: { spec: { containers: 'one' } } } })).not.toEqual(
      [],
    );
    const [deployment, , , scaled] = kubernetesObjects(gold, DEFAULTS);
    expect(manifestErrors({ ...deployment, spec: { ...deployment.spec, replicas: 'two' } })).not.toEqual([]);
    expect(manifestErrors({ ...scaled, spec: { ...scaled.spec, scaleTargetRef: undefined } })).not.toEqual(
      [],
    );
    expect(manifestErrors({ apiVersion: 'v1', kind: 'Servize' })).not.toEqual([]);
  });

  it('say who wrote them, and ask for a tier that can be scaled', () => {
    expect(asText([knativeService(gold, DEFAULTS)])).toMatch(/^# Written by deploy\/kubernetes\/render.ts/);
    expect(() => scaledTiers('tiers: { gold: {} }')).toThrow();
  });
});
