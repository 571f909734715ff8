import { describe, expect, it } from 'vitest';
import { checkManifests } from '../../deploy/kubernetes/check.ts';
import {
  httpRoute,
  knativeService,
  kubernetesObjects,
  serviceAccount,
} from '../../deploy/kubernetes/manifests.ts';
import { asText, DEFAULTS } from '../../deploy/kubernetes/render.ts';
import { scaledTiers } from '../../deploy/kubernetes/tiers.ts';
import { manifestErrors } from '../../deploy/kubernetes/validate.ts';
import { createKey } from '../../src/serving/index.ts';

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

  it('let a pod end without a refused request: it is still there while it is sent some', () => {
    const [{ spec }] = kubernetesObjects(gold, DEFAULTS);
    const pod = spec?.template.spec;
    expect(pod?.containers[0]?.lifecycle?.preStop).toEqual({ exec: { command: ['sleep', '5'] } });
    // The gateway itself takes at most 20 s.
    expect(pod?.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(5 + 20 + 5);
  });

  it('have an account, a cache, places apart, and a number of replicas while Prometheus is away', () => {
    const [{ spec }, , , scaled] = kubernetesObjects(gold, DEFAULTS);
    const pod = spec?.template.spec;
    expect(pod?.serviceAccountName).toBe('concertina');
    expect(pod?.volumes?.map(({ name }) => name)).toEqual(['tiers', 'keys', 'cache']);
    expect(pod?.topologySpreadConstraints?.map(({ topologyKey }) => topologyKey)).toEqual([
      'topology.kubernetes.io/zone',
      'kubernetes.io/hostname',
    ]);
    expect(scaled.spec.fallback).toMatchObject({ failureThreshold: 3, replicas: 5 });
    const { metadata } = serviceAccount({ ...DEFAULTS, roleArn: 'arn:aws:iam::1:role/models' });
    expect(metadata?.annotations).toEqual({ 'eks.amazonaws.com/role-arn': 'arn:aws:iam::1:role/models' });
  });

  it('send a caller to the tier that the key says, and those without one to the default tier', async () => {
    const route = httpRoute(tiers, 'free', DEFAULTS);
    expect(manifestErrors(route)).toEqual([]);
    const { key } = await createKey('premium');
    const backendOf = (authorization: string | undefined) =>
      route.spec.rules?.find(
        ({ matches }) =>
          !matches ||
          matches.some(({ headers }) =>
            headers?.every(
              ({ name, value }) =>
                name === 'Authorization' && new RegExp(`^(${value})$`).test(authorization ?? ''),
            ),
          ),
      )?.backendRefs?.[0]?.name;
    expect(backendOf(`Bearer ${key}`)).toBe('concertina-premium');
    expect(backendOf(`Bearer ${key.replace('premium', 'standard')}`)).toBe('concertina-standard');
    expect(backendOf(undefined)).toBe('concertina-free');
  });

  it('ask for a GPU where they are told to', () => {
    const [deployment] = kubernetesObjects(gold, { ...DEFAULTS, device: 'cuda' });
    expect(manifestErrors(deployment)).toEqual([]);
    const container = deployment.spec?.template.spec?.containers[0];
    expect(container?.resources?.limits).toMatchObject({ 'nvidia.com/gpu': 1 });
    expect(container?.env).toContainEqual({ name: 'CONCERTINA_DEVICE', value: 'cuda' });
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
