import { Problem } from '../problem/index.ts';

/** A pruning job that AWS Batch is to run: `deploy/aws/pruning.yml` makes the queue and the definition. */
export interface RemoteJob {
  readonly queue: string;
  readonly definition: string;
  readonly name: string;
  /** The flags of `concertina prune` for the job's container. */
  readonly words: readonly string[];
}

/** Flags of `concertina prune` that a job on another machine is given as they are. */
export interface RemoteFlags {
  readonly model: string;
  readonly images: string;
  readonly store: string;
  readonly name?: string;
  readonly recipe: string;
  readonly path?: string;
  readonly levels: number | number[];
  readonly seed: number;
  readonly device: string;
  readonly scores?: string;
  readonly work?: string;
  readonly queue?: string;
  readonly definition?: string;
}

const RECIPES = ['quick', 'best', 'best-tuned', 'compact', 'compact-tuned', 'snapvit-reference'];
const ELSEWHERE = /^(s3:|hf:|timm\/|https?:)/;

/**
 * What a job on another machine is told.
 * @throws Problem('usage') for what that machine could not reach
 */
export function remoteJob(flags: RemoteFlags, name: string): RemoteJob {
  const { model, images, store, recipe, path, levels, seed, device, queue, definition } = flags;
  if (!queue || !definition)
    throw new Problem(
      'usage',
      '--remote needs --queue and --definition (or CONCERTINA_PRUNE_QUEUE and CONCERTINA_PRUNE_DEFINITION): the outputs PruneQueue and PruneDefinition of the deployment.',
    );
  if (!ELSEWHERE.test(model))
    throw local('--model', model, 's3://<bucket>/incoming/<name>, hf:org/name or timm/name');
  if (!images.startsWith('s3:')) throw local('--images', images, 's3://<bucket>/calibration');
  if (!RECIPES.includes(recipe)) throw local('--recipe', recipe, RECIPES.join(', '));
  const { scores, work } = flags;
  if (scores !== undefined)
    throw new Problem('usage', '--scores names something on this machine; leave it out with --remote.');
  if (work !== undefined && !work.startsWith('s3:')) throw local('--work', work, 's3://<bucket>/work');
  const words = ['--model', model, '--images', images, '--name', name, '--recipe', recipe];
  // The job has a store of its own in its environment.
  if (store.startsWith('s3:')) words.push('--store', store);
  if (work !== undefined) words.push('--work', work);
  if (path) words.push('--path', path);
  // It also knows its own devices, unless one is asked for.
  if (device !== 'auto') words.push('--device', device);
  words.push('--levels', String(levels), '--seed', String(seed), '--json');
  return { queue, definition, name, words };
}

/**
 * Submits a job.
 * @returns its id
 * @throws Problem('job-refused') with what AWS Batch says
 */
export async function submitJob({ queue, definition, name, words }: RemoteJob): Promise<string> {
  // Loaded when it is needed: no other command talks to Batch.
  const { BatchClient, SubmitJobCommand } = await import('@aws-sdk/client-batch');
  const client = new BatchClient({});
  try {
    const { jobId } = await client.send(
      new SubmitJobCommand({
        jobName: name.replace(/[^A-Za-z0-9_-]+/g, '-'),
        jobQueue: queue,
        jobDefinition: definition,
        containerOverrides: { command: [...words] },
      }),
    );
    return jobId ?? '';
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Problem(
      'job-refused',
      `AWS Batch did not take the job: ${reason} Check the queue, the credentials and the region.`,
      { queue },
      { cause },
    );
  } finally {
    client.destroy();
  }
}

function local(flag: string, given: string, wanted: string): Problem {
  return new Problem(
    'usage',
    `${flag} ${given} is on this machine, where the job does not run; with --remote give ${wanted}.`,
  );
}
