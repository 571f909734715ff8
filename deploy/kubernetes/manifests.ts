import type { IScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import type { IService as IKnativeService } from '@kubernetes-models/knative/serving.knative.dev/v1/Service';
import type { IDeployment } from 'kubernetes-models/apps/v1/Deployment';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import type { IConfigMap } from 'kubernetes-models/v1/ConfigMap';
import type { IContainer } from 'kubernetes-models/v1/Container';
import type { IService } from 'kubernetes-models/v1/Service';
import type { ScaledTier } from './tiers.ts';

export interface ManifestOptions {
  /** Of the gateway's container (`deploy/container/Dockerfile`), by digest. */
  readonly image: string;
  /** Where the checkpoints are. */
  readonly store: string;
  /** Prometheus that reads the gateways' /metrics; KEDA asks it. */
  readonly prometheus: string;
}

/** The kinds that are written; their types refuse members that do not exist, their schemas (`validate.ts`) wrong values. */
export type Manifest =
  | IConfigMap
  | IKnativeService
  | IDeployment
  | IService
  | IPodDisruptionBudget
  | IScaledObject;

const PORT = 8787;
const CONFIG = 'concertina-tiers';
const FOLDER = '/etc/concertina';

/** The tiers file as a ConfigMap: limits are written once. */
export function tiersConfig(text: string): IConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: CONFIG }, data: { 'tiers.yaml': text } };
}

/** A Knative Service: scales with the requests in work, down to zero where the tier may. */
export function knativeService(tier: ScaledTier, options: ManifestOptions): IKnativeService {
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name: nameOf(tier), labels: labels(tier) },
    spec: {
      template: {
        metadata: {
          labels: labels(tier),
          annotations: {
            'autoscaling.knative.dev/class': 'kpa.autoscaling.knative.dev',
            'autoscaling.knative.dev/metric': 'concurrency',
            'autoscaling.knative.dev/target': String(tier.concurrencyTarget),
            'autoscaling.knative.dev/min-scale': String(tier.minReplicas),
            'autoscaling.knative.dev/max-scale': String(tier.maxReplicas),
            'autoscaling.knative.dev/scale-down-delay': '60s',
          },
        },
        spec: {
          // No hard limit: the gateway's own queue bends a request's level before it refuses one.
          containerConcurrency: 0,
          timeoutSeconds: 60,
          automountServiceAccountToken: false,
          containers: [container(tier, options, 'http1')],
          volumes: volumes(),
        },
      },
    },
  };
}

/** A Deployment, its Service, what keeps one replica through maintenance, and KEDA's scaling on the queue. */
export function kubernetesObjects(
  tier: ScaledTier,
  options: ManifestOptions,
): [IDeployment, IService, IPodDisruptionBudget, IScaledObject] {
  const name = nameOf(tier);
  const selector = { 'app.kubernetes.io/name': 'concertina', 'concertina/tier': tier.name };
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, labels: labels(tier) },
      spec: {
        selector: { matchLabels: selector },
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
        template: {
          metadata: {
            labels: labels(tier),
            annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': String(PORT) },
          },
          spec: {
            automountServiceAccountToken: false,
            // The gateway finishes what it has accepted, for at most 20 s.
            terminationGracePeriodSeconds: 30,
            containers: [container(tier, options, 'http')],
            volumes: volumes(),
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, labels: labels(tier) },
      spec: { selector, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
    },
    {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name, labels: labels(tier) },
      spec: { maxUnavailable: 1, selector: { matchLabels: selector } },
    },
    {
      apiVersion: 'keda.sh/v1alpha1',
      kind: 'ScaledObject',
      metadata: { name, labels: labels(tier) },
      spec: {
        scaleTargetRef: { name },
        // Without a replica there is no queue that could grow: zero needs Knative.
        minReplicaCount: Math.max(1, tier.minReplicas),
        maxReplicaCount: tier.maxReplicas,
        pollingInterval: 5,
        cooldownPeriod: 60,
        triggers: [
          {
            type: 'prometheus',
            metricType: 'AverageValue',
            metadata: {
              serverAddress: options.prometheus,
              query: `sum(concertina_waiting{tier="${tier.name}"}) + sum(concertina_running{tier="${tier.name}"})`,
              threshold: String(tier.concurrencyTarget),
            },
          },
        ],
      },
    },
  ];
}

function container(tier: ScaledTier, { image, store }: ManifestOptions, port: string): IContainer {
  const get = (path: string) => ({ httpGet: { path, port: PORT } });
  return {
    name: 'gateway',
    image,
    args: ['serve'],
    ports: [{ name: port, containerPort: PORT }],
    env: [
      { name: 'CONCERTINA_STORE', value: store },
      { name: 'CONCERTINA_CONFIG', value: `${FOLDER}/tiers.yaml` },
      { name: 'CONCERTINA_TIER', value: tier.name },
      // As many as the pod asks for, not as many as the node has.
      { name: 'CONCERTINA_WORKERS', value: String(Math.max(1, Math.floor(tier.cpuMillis / 1000))) },
    ],
    // Credentials and region of the store, where the platform does not give them.
    envFrom: [{ secretRef: { name: 'concertina-store', optional: true } }],
    resources: {
      requests: { cpu: `${tier.cpuMillis}m`, memory: `${tier.memoryMb}Mi` },
      limits: { memory: `${tier.memoryMb}Mi` },
    },
    // True only after a real embedding at a level that keeps the tier's floor.
    readinessProbe: { ...get('/readyz'), periodSeconds: 2, failureThreshold: 60 },
    livenessProbe: { ...get('/livez'), periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 },
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 1000,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    volumeMounts: [{ name: 'tiers', mountPath: FOLDER, readOnly: true }],
  };
}

const nameOf = ({ name }: ScaledTier): string => `concertina-${name}`;
const labels = ({ name }: ScaledTier) => ({
  'app.kubernetes.io/name': 'concertina',
  'app.kubernetes.io/component': 'gateway',
  'concertina/tier': name,
});
const volumes = () => [{ name: 'tiers', configMap: { name: CONFIG } }];
