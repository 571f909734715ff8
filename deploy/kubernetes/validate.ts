import { HTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute';
import { ScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import { Service as KnativeService } from '@kubernetes-models/knative/serving.knative.dev/v1/Service';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { Service } from 'kubernetes-models/v1/Service';
import { ServiceAccount } from 'kubernetes-models/v1/ServiceAccount';

/** The JSON schemas of Kubernetes, Knative and KEDA, by the kind that they describe. */
const KINDS: Readonly<Record<string, new (data: never) => { validate(): void }>> = {
  'v1 ConfigMap': ConfigMap,
  'v1 Service': Service,
  'v1 ServiceAccount': ServiceAccount,
  'gateway.networking.k8s.io/v1 HTTPRoute': HTTPRoute,
  'apps/v1 Deployment': Deployment,
  'policy/v1 PodDisruptionBudget': PodDisruptionBudget,
  'serving.knative.dev/v1 Service': KnativeService,
  'keda.sh/v1alpha1 ScaledObject': ScaledObject,
};

/** What a manifest's schema has against it; empty for a valid one. */
export function manifestErrors(manifest: unknown): string[] {
  const { apiVersion, kind } = Object(manifest);
  const Model = KINDS[`${apiVersion} ${kind}`];
  if (!Model) return [`There is no schema for ${apiVersion} ${kind}.`];
  try {
    new Model(manifest as never).validate(); // the schema says whether it is one
    return [];
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}
