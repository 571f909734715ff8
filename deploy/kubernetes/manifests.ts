import type { IHTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute';
import type { IScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import type { IService as IKnativeService } from '@kubernetes-models/knative/serving.knative.dev/v1/Service';
import type { IDeployment } from 'kubernetes-models/apps/v1/Deployment';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import type { IConfigMap } from 'kubernetes-models/v1/ConfigMap';
import type { IContainer } from 'kubernetes-models/v1/Container';
import type { IService } from 'kubernetes-models/v1/Service';
import type { IServiceAccount } from 'kubernetes-models/v1/ServiceAccount';
import type { ScaledTier } from './tiers.ts';

export interface ManifestOptions {
  /** Of the gateway's container (`deploy/container/Dockerfile`), by digest. */
  readonly image: string;
  /** Where the checkpoints are. */
  readonly store: string;
  /** IAM role that the pods take on (EKS: IRSA); none where the platform gives them credentials otherwise. */
  readonly roleArn?: string | undefined;
  /** `cuda`: one NVIDIA GPU a pod, with an image of ONNX Runtime's CUDA provider. @default 'cpu' */
  readonly device?: 'cpu' | 'cuda' | undefined;
  /** Gateway (gateway.networking.k8s.io) that the route of all tiers hangs on. */
  readonly gateway: string;
  /** Prometheus that reads the gateways' /metrics; KEDA asks it. */
  readonly prometheus: string;
}

/** The kinds that are written; their types refuse members that do not exist, their schemas (`validate.ts`) wrong values. */
export type Manifest =
  | IConfigMap
  | IServiceAccount
  | IHTTPRoute
  | IKnativeService
  | IDeployment
  | IService
  | IPodDisruptionBudget
  | IScaledObject;

const PORT = 8787;
const CONFIG = 'concertina-tiers';
const FOLDER = '/etc/concertina';
const KEYS = '/etc/concertina-keys';
const CACHE = '/var/cache/concertina';
const ACCOUNT = 'concertina';
/** `node` of the image. */
const USER = 1000;

/** The tiers file as a ConfigMap: limits are written once. */
export function tiersConfig(text: string): IConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: CONFIG }, data: { 'tiers.yaml': text } };
}

/** Whom the pods are: nobody to Kubernetes, and to AWS the role that reads the store. */
export function serviceAccount({ roleArn }: ManifestOptions): IServiceAccount {
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: {
      name: ACCOUNT,
      ...(roleArn !== undefined && { annotations: { 'eks.amazonaws.com/role-arn': roleArn } }),
    },
    automountServiceAccountToken: false,
  };
}

/**
 * One address for all tiers: a key says its tier (`ck_premium_…`), and its caller is sent to that tier's gateways, which check
 * the key. Requests without a key go to the default tier.
 */
export function httpRoute(
  tiers: readonly ScaledTier[],
  defaultTier: string | undefined,
  { gateway }: ManifestOptions,
): IHTTPRoute {
  const backend = (tier: ScaledTier) => [{ name: nameOf(tier), port: 80 }];
  const byKey = tiers.map((tier) => ({
    matches: [
      {
        headers: [
          { type: 'RegularExpression' as const, name: 'Authorization', value: `Bearer +ck_${tier.name}_.*` },
        ],
      },
      { headers: [{ type: 'RegularExpression' as const, name: 'X-Api-Key', value: `ck_${tier.name}_.*` }] },
    ],
    backendRefs: backend(tier),
  }));
  const fallback = tiers.find(({ name }) => name === defaultTier);
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'concertina' },
    spec: {
      parentRefs: [{ name: gateway }],
      rules: [...byKey, ...(fallback ? [{ backendRefs: backend(fallback) }] : [])],
    },
  };
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
          serviceAccountName: ACCOUNT,
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
            serviceAccountName: ACCOUNT,
            automountServiceAccountToken: false,
            // Five for those who still send to it, and at most 20 s to finish what it has accepted.
            terminationGracePeriodSeconds: 40,
            securityContext: { fsGroup: USER },
            topologySpreadConstraints: ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].map(
              (topologyKey) => ({
                topologyKey,
                maxSkew: 1,
                whenUnsatisfiable: 'ScheduleAnyway',
                labelSelector: { matchLabels: selector },
              }),
            ),
            ...(options.device === 'cuda' && {
              tolerations: [{ key: 'nvidia.com/gpu', operator: 'Exists', effect: 'NoSchedule' }],
            }),
            containers: [
              {
                ...container(tier, options, 'http'),
                // A pod that ends is still sent requests until every node has heard of it.
                lifecycle: { preStop: { exec: { command: ['sleep', '5'] } } },
              },
            ],
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
        // While Prometheus does not answer: as many as are there, and never fewer than this.
        fallback: {
          failureThreshold: 3,
          replicas: Math.max(1, Math.ceil(tier.maxReplicas / 2)),
          behavior: 'currentReplicasIfHigher',
        },
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

function container(
  tier: ScaledTier,
  { image, store, device = 'cpu' }: ManifestOptions,
  port: string,
): IContainer {
  const get = (path: string) => ({ httpGet: { path, port: PORT } });
  return {
    name: 'gateway',
    image,
    args: ['serve', '--cache', CACHE, '--cache-size', '4'],
    ports: [{ name: port, containerPort: PORT }],
    env: [
      { name: 'CONCERTINA_STORE', value: store },
      { name: 'CONCERTINA_CONFIG', value: `${FOLDER}/tiers.yaml` },
      { name: 'CONCERTINA_KEYS', value: `${KEYS}/keys.yaml` },
      { name: 'CONCERTINA_TIER', value: tier.name },
      ...(device === 'cuda' ? [{ name: 'CONCERTINA_DEVICE', value: 'cuda' }] : []),
      // As many as the pod asks for, not as many as the node has.
      ...(device === 'cpu'
        ? [{ name: 'CONCERTINA_WORKERS', value: String(Math.max(1, Math.floor(tier.cpuMillis / 1000))) }]
        : []),
    ],
    // Credentials and region of the store, where the platform does not give them.
    envFrom: [{ secretRef: { name: 'concertina-store', optional: true } }],
    resources: {
      requests: { cpu: `${tier.cpuMillis}m`, memory: `${tier.memoryMb}Mi` },
      limits: { memory: `${tier.memoryMb}Mi`, ...(device === 'cuda' && { 'nvidia.com/gpu': 1 }) },
    },
    // True only after a real embedding at a level that keeps the tier's floor.
    readinessProbe: { ...get('/readyz'), periodSeconds: 2, failureThreshold: 60 },
    livenessProbe: { ...get('/livez'), periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 },
    securityContext: {
      runAsNonRoot: true,
      runAsUser: USER,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    volumeMounts: [
      { name: 'tiers', mountPath: FOLDER, readOnly: true },
      { name: 'keys', mountPath: KEYS, readOnly: true },
      { name: 'cache', mountPath: CACHE },
    ],
  };
}

const nameOf = ({ name }: ScaledTier): string => `concertina-${name}`;
const labels = ({ name }: ScaledTier) => ({
  'app.kubernetes.io/name': 'concertina',
  'app.kubernetes.io/component': 'gateway',
  'concertina/tier': name,
});
const volumes = () => [
  { name: 'tiers', configMap: { name: CONFIG } },
  // keys.yaml: hashes of API keys by tier; `{}` for none.
  { name: 'keys', secret: { secretName: 'concertina-keys' } },
  // A container that starts again in its pod reads the checkpoint from here.
  { name: 'cache', emptyDir: { sizeLimit: '5Gi' } },
];
