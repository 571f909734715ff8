import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Console } from '../../src/cli/console.ts';
import { runCommand } from '../../src/cli/run.ts';

interface Seen {
  readonly path: string;
  readonly authorization: string;
  readonly body: Record<string, unknown>;
}

let server: Server;
let seen: Seen[] = [];
let status = 200;

/** A fake of AWS Batch on this machine: it takes every job, or refuses it. */
beforeAll(async () => {
  server = createServer(async (request, response) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = JSON.parse(Buffer.concat(chunks).toString());
    seen.push({ path: request.url ?? '', authorization: request.headers.authorization ?? '', body });
    response.writeHead(status, { 'Content-Type': 'application/json' });
    const refusal = { message: 'JobQueue q not found', __type: 'ClientException' };
    response.end(JSON.stringify(status === 200 ? { jobId: 'job-1', jobName: 'vit' } : refusal));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  Object.assign(process.env, {
    AWS_ENDPOINT_URL_BATCH: `http://127.0.0.1:${port}`,
    AWS_REGION: 'eu-central-1',
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'secret',
  });
});
afterAll(() => server.close());
beforeEach(() => {
  seen = [];
  status = 200;
});

async function prune(...words: string[]) {
  const printed: string[] = [];
  const said: string[] = [];
  const console: Console = {
    print: (line) => void printed.push(line),
    say: (line) => void said.push(line),
    reporter: () => expect.fail('nothing runs here'),
  };
  const code = await runCommand(['prune', '--remote', ...words], console);
  return { code, printed: printed.join('\n'), said: said.join('\n') };
}

const JOB = ['--queue', 'arn:q', '--definition', 'arn:d'];
const WORK = ['--model', 's3://b/incoming/vit', '--images', 's3://b/calibration'];

describe('concertina prune --remote, on a fake of AWS Batch', () => {
  it('submits the job with the flags of the command, signed, and says how to watch it', async () => {
    const { code, printed } = await prune(...WORK, ...JOB, '--levels', '0.5,1', '--recipe', 'quick');
    expect(code).toBe(0);
    expect(printed).toContain('aws batch describe-jobs --jobs job-1');
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({
      path: '/v1/submitjob',
      authorization: expect.stringMatching(
        /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-central-1\/batch\/aws4_request/,
      ),
      body: {
        jobName: 'vit',
        jobQueue: 'arn:q',
        jobDefinition: 'arn:d',
        containerOverrides: {
          command: [
            ...[...WORK, '--name', 'vit', '--recipe', 'quick', '--levels', '0.5,1'],
            ...['--seed', '0', '--json'],
          ],
        },
      },
    });
  });

  it('prints one JSON object with --json', async () => {
    const { printed } = await prune(...WORK, ...JOB, '--json');
    expect(JSON.parse(printed)).toEqual({ event: 'submitted', job: 'job-1', name: 'vit', queue: 'arn:q' });
  });

  it('says what AWS answers when it refuses', async () => {
    status = 400;
    const { code, said } = await prune(...WORK, ...JOB);
    expect(code).toBe(1);
    expect(said).toContain('JobQueue q not found');
  });

  it.each([
    [[...WORK], 'PruneQueue'],
    [['--model', './vit', '--images', 's3://b/c', ...JOB], '--model ./vit is on this machine'],
    [['--model', 'hf:org/vit', '--images', './photos', ...JOB], '--images ./photos is on this machine'],
    [[...WORK, ...JOB, '--recipe', './own.yaml'], '--recipe ./own.yaml is on this machine'],
    [[...WORK, ...JOB, '--work', './work'], '--work ./work is on this machine'],
  ])('does not submit what could not run: %j', async (words, sentence) => {
    const { code, said } = await prune(...words);
    expect(code).toBe(2);
    expect(said).toContain(sentence);
    expect(seen).toEqual([]);
  });
});
