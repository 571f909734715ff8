/**
 * Published list prices, USD, us-east-1, Linux x86, without free tiers, discounts and requests to other services. Of November 2026 as
 * far as could be seen: the price pages themselves could not be opened from here, the figures agree in several dated secondary
 * sources (Fargate: March 2026; Lambda: July 2026).
 */
export const PRICES = {
  lambda: {
    /** Per GB-second (1024 MB) of execution on demand. */
    onDemand: 0.0000166667,
    /** Per GB-second of provisioned concurrency, busy or not. */
    provisioned: 0.0000041667,
    /** Per GB-second of execution on it. */
    onProvisioned: 0.0000097222,
    /** Per request. */
    request: 0.2e-6,
  },
  fargate: {
    /** Per core and hour. */
    core: 0.04048,
    /** Per GB and hour. */
    gigabyte: 0.004445,
  },
} as const;

/** One execution on demand. */
export function onDemandCost(memoryMb: number, seconds: number): number {
  return PRICES.lambda.request + (memoryMb / 1024) * seconds * PRICES.lambda.onDemand;
}

/** One execution on provisioned concurrency, without the concurrency itself. */
export function onProvisionedCost(memoryMb: number, seconds: number): number {
  return PRICES.lambda.request + (memoryMb / 1024) * seconds * PRICES.lambda.onProvisioned;
}

/** So many seconds of one provisioned environment. */
export function provisionedCost(memoryMb: number, seconds: number): number {
  return (memoryMb / 1024) * seconds * PRICES.lambda.provisioned;
}

/** So many seconds of a pod. */
export function podCost(cores: number, memoryMb: number, seconds: number): number {
  const { core, gigabyte } = PRICES.fargate;
  return (seconds / 3600) * (cores * core + (memoryMb / 1024) * gigabyte);
}
