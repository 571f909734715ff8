import { z } from 'zod';
import { type Budget, givesUp, type TierBounds } from '../budget/index.ts';
import { Problem } from '../problem/index.ts';

const whole = z.number().int().positive();

const TierSchema = z.strictObject({
  /** Requests without a key go here; at most one tier may say so. */
  default: z.boolean().default(false),
  /** Share of the machine under contention, relative to the other tiers. */
  weight: z.number().positive().default(1),
  /** Requests of the tier in the engine at a time. */
  concurrency: whole.default(64),
  /** Requests of the tier that may wait. */
  queue: whole.default(256),
  rateLimit: z.strictObject({ requests: whole, windowSeconds: z.number().positive() }).optional(),
  /** Neither pressure nor loading pushes a request below this. Without it see {@link UNASKED_FLOOR}. */
  floor: z
    .strictObject({
      level: z.number().int().nonnegative().optional(),
      fidelity: z.number().min(0).max(1).optional(),
    })
    .optional(),
  /** No request of the tier gets more than this; of `fidelity` the least that the ladder has, if all of it is above. */
  ceiling: z
    .strictObject({
      level: z.number().int().nonnegative().optional(),
      flops: z.number().positive().max(1).optional(),
      fidelity: z.number().positive().max(1).optional(),
    })
    .optional(),
  /** Latency target of requests that name none, ms. */
  latency: z.number().positive().optional(),
  /** What one request of the tier may bring, in place of the gateway's own limits. */
  limits: z
    .strictObject({
      bodyBytes: whole.optional(),
      bodyMs: whole.optional(),
      inputs: whole.optional(),
      pixels: whole.optional(),
    })
    .optional(),
  /** Salted hashes of API keys, as `concertina keys create` prints them. */
  keys: z.array(z.string().regex(/^sha256:[0-9a-f]{16,64}:[0-9a-f]{64}$/)).default([]),
  /** Used by the deployment files only. */
  scaling: z.record(z.string(), z.unknown()).optional(),
});
export type Tier = z.infer<typeof TierSchema>;

/** Whether a tier is promised more than it may get. */
function contradictory({ floor, ceiling }: Tier): boolean {
  const above = (bottom = 0, top = Number.POSITIVE_INFINITY) => bottom > top;
  return above(floor?.level, ceiling?.level) || above(floor?.fidelity, ceiling?.fidelity);
}

/** The `tiers` configuration: read by every gateway and by the deployment files. */
export const TiersSchema = z
  .strictObject({ tiers: z.record(z.string().regex(/^[a-z][a-z0-9-]{0,30}$/), TierSchema) })
  .refine(({ tiers }) => Object.keys(tiers).length > 0, 'there must be at least one tier')
  .refine(
    ({ tiers }) => Object.values(tiers).filter((tier) => tier.default).length <= 1,
    'only one tier may be the default',
  )
  .superRefine(({ tiers }, context) => {
    for (const [name, tier] of Object.entries(tiers))
      if (contradictory(tier))
        context.addIssue({
          code: 'custom',
          path: ['tiers', name, 'floor'],
          message: 'the floor is above the ceiling',
        });
  });
export type Tiers = Readonly<Record<string, Tier>>;

/** One open tier, for a gateway that was given no configuration. */
export const OPEN_TIERS: Tiers = TiersSchema.parse({ tiers: { open: { default: true } } }).tiers;

/**
 * What a request without a budget gets at least in a tier that names no floor. Its caller has not said that anything may be
 * given up: less would be damage in silence, in an index for instance. Whoever sends a budget has said what may.
 */
const UNASKED_FLOOR: NonNullable<TierBounds['floor']> = { fidelity: 0.95 };

/**
 * What a tier lets the choice of a level do.
 * @param budget of the request, as its caller sent it
 * @param highest the highest level that this host can hold at all; all of them if absent
 */
export function boundsOf(tier: Tier, budget: Budget, highest?: number): TierBounds {
  const level = Math.min(
    tier.ceiling?.level ?? Number.POSITIVE_INFINITY,
    highest ?? Number.POSITIVE_INFINITY,
  );
  const named = {
    ...(tier.floor?.level === undefined ? {} : { level: tier.floor.level }),
    ...(tier.floor?.fidelity === undefined ? {} : { fidelity: tier.floor.fidelity }),
  };
  const unasked = Object.keys(named).length === 0 && !givesUp(budget);
  const ceiling = {
    ...(level === Number.POSITIVE_INFINITY ? {} : { level }),
    ...(tier.ceiling?.flops === undefined ? {} : { flops: tier.ceiling.flops }),
    ...(tier.ceiling?.fidelity === undefined ? {} : { fidelity: tier.ceiling.fidelity }),
  };
  return { floor: unasked ? UNASKED_FLOOR : named, ceiling };
}

/** @throws Problem('invalid-settings') naming the place in the configuration */
export function parseTiers(config: unknown): Tiers {
  const parsed = TiersSchema.safeParse(config);
  if (parsed.success) return parsed.data.tiers;
  const issue = parsed.error.issues[0];
  throw new Problem(
    'invalid-settings',
    `The tiers configuration cannot be used: ${issue?.path.join('.') || 'the document'}: ${issue?.message}. deploy/tiers.yaml is an example.`,
    { issues: parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message })) },
  );
}
