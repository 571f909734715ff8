import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openModel } from '../../src/hub/index.ts';
import type { Reporter } from '../../src/progress/index.ts';
import { encodeSafetensors, readModel, readSafetensors, type Tensor } from '../../src/vit/index.ts';
import { timmFiles } from '../support/timm-files.ts';
import { tinyConfig, tinyTensors } from '../support/tiny-vit.ts';
import { until } from '../support/until.ts';
import { HubServer, sha256 } from './hub-server.ts';

const FIRST = '1'.repeat(40);
const SECOND = '2'.repeat(40);
const ID = 'acme/tiny-vit';
const config = tinyConfig();
const canonical = tinyTensors(config);
const problem = (code: string, text: RegExp) => ({ code, message: expect.stringMatching(text) });

async function filesOf(seed: number): Promise<Record<string, Uint8Array>> {
  const files = timmFiles(config, tinyTensors(config, seed));
  const read = async (name: string) => {
    const source = await files.open(name);
    return Uint8Array.from(await source.read(0, source.size));
  };
  return {
    'config.json': await read('config.json'),
    'model.safetensors': await read('model.safetensors'),
    'README.md': new TextEncoder().encode('# Tiny'),
  };
}

interface Progress extends Reporter {
  readonly steps: { name: string; total: number; done: number; ended: boolean }[];
  readonly notes: string[];
}

function recorder(): Progress {
  const steps: Progress['steps'] = [];
  const notes: string[] = [];
  return {
    steps,
    notes,
    step(name, total) {
      const step = { name, total, done: 0, ended: false };
      steps.push(step);
      return {
        advance: (done) => void Object.assign(step, { done }),
        end: () => void Object.assign(step, { ended: true }),
      };
    },
    note: (message) => void notes.push(message),
  };
}

describe('a model of the hub', () => {
  const server = new HubServer();
  let cache: string;
  let report: Progress;
  let files: Record<string, Uint8Array>;
  const open = (reference = `hf:${ID}`, options = {}) =>
    openModel(reference, {
      endpoint: server.endpoint,
      cache,
      report,
      retryDelay: 1,
      timeout: 2000,
      ...options,
    });
  const folder = (commit = FIRST) =>
    join(cache, new URL(server.endpoint).host.replace(':', '_'), 'acme', 'tiny-vit', commit);
  const weights = () => files['model.safetensors'] ?? new Uint8Array();

  beforeEach(async () => {
    await server.start();
    cache = await mkdtemp(join(tmpdir(), 'hub-'));
    report = recorder();
    files = await filesOf(1);
    server.models.set(ID, {
      revisions: { main: FIRST, 'refs/pr/7': SECOND, 'v1.0': SECOND },
      commits: { [FIRST]: files, [SECOND]: await filesOf(2) },
      large: new Set(['model.safetensors']),
    });
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await server.stop();
    server.models.clear();
    server.faults.clear();
    server.log.length = 0;
    await rm(cache, { recursive: true });
  });

  it('is downloaded, checked and read; only what is needed', async () => {
    const model = await readModel(await open());
    expect(new Map(model.tensors)).toEqual(canonical);
    expect(model.digests.weights).toBe(sha256(weights()));
    expect(server.fetched).toEqual([
      `/${ID}/resolve/${FIRST}/config.json`,
      `/${ID}/resolve/${FIRST}/model.safetensors`,
      `/${ID}/${FIRST}/model.safetensors`,
    ]);
    expect(await readdir(folder())).toEqual(['config.json', 'model.safetensors']);
  });

  it('is not downloaded twice; by its commit it needs no connection at all', async () => {
    await readModel(await open());
    server.log.length = 0;
    await readModel(await open());
    expect(server.log.map(({ path }) => path)).toEqual([`/api/models/${ID}/revision/main`]);
    server.log.length = 0;
    await readModel(await open(`hf:${ID}@${FIRST}`));
    expect(server.log).toEqual([]);
  });

  it.each(['v1.0', 'refs/pr/7', SECOND])('is taken at the revision %s', async (revision) => {
    const model = await readModel(await open(`hf:${ID}@${revision}`));
    expect(new Map(model.tensors)).toEqual(tinyTensors(config, 2));
  });

  it('is of one commit, also when the branch moves in between', async () => {
    const model = await open();
    await model.list();
    Object.assign(server.models.get(ID)?.revisions ?? {}, { main: SECOND });
    expect(new Map((await readModel(model)).tensors)).toEqual(canonical);
  });

  it('may have its weights in several files', async () => {
    const tensors = [
      ...(await readSafetensors({
        name: 'w',
        size: weights().length,
        read: async (a, b) => weights().slice(a, b),
      })),
    ];
    const halves = {
      'model-00001-of-00002.safetensors': tensors.slice(0, 20),
      'model-00002-of-00002.safetensors': tensors.slice(20),
    };
    delete files['model.safetensors'];
    const map: Record<string, string> = {};
    for (const [name, own] of Object.entries(halves)) {
      files[name] = encodeSafetensors(new Map<string, Tensor>(own));
      for (const [tensor] of own) map[tensor] = name;
    }
    files['model.safetensors.index.json'] = new TextEncoder().encode(JSON.stringify({ weight_map: map }));
    expect(new Map((await readModel(await open())).tensors)).toEqual(canonical);
  });

  it('with a pickle instead of safetensors is refused with the reason; nothing of it is downloaded', async () => {
    files['pytorch_model.bin'] = weights();
    delete files['model.safetensors'];
    await expect(readModel(await open())).rejects.toMatchObject(
      problem('unsupported-model', /pickle.*safetensors/),
    );
    expect(server.fetched).toEqual([`/${ID}/resolve/${FIRST}/config.json`]);
  });

  it('shows the progress of each file', async () => {
    files['model.safetensors'] = new Uint8Array(3_400_000);
    await (await open()).open('model.safetensors');
    expect(report.steps).toEqual([
      { name: 'download model.safetensors (MB)', total: 4, done: 3, ended: true },
    ]);
  });

  it('sends its token to the hub, and not to the storage that it redirects to', async () => {
    Object.assign(server.models.get(ID) ?? {}, { token: 'secret' });
    await readModel(await open(undefined, { token: 'secret' }));
    const [hub, storage] = [server.endpoint, server.storage].map((origin) => new URL(origin).host);
    const to = (host: string | undefined) =>
      server.log.filter((one) => one.host === host).map((one) => one.authorization);
    expect(to(hub)).toEqual(['Bearer secret', 'Bearer secret', 'Bearer secret']);
    expect(to(storage)).toEqual([undefined]);
  });

  it('is asked for where HF_ENDPOINT says, with HF_TOKEN', async () => {
    Object.assign(server.models.get(ID) ?? {}, { token: 'from the environment' });
    vi.stubEnv('HF_ENDPOINT', `${server.endpoint}/`);
    vi.stubEnv('HF_TOKEN', 'from the environment\n');
    await readModel(await openModel(`hf:${ID}`, { cache }));
    expect(server.log[0]?.authorization).toBe('Bearer from the environment');
  });

  it('is asked for through a proxy where HTTP_PROXY says', async () => {
    vi.stubEnv('HTTP_PROXY', server.endpoint);
    vi.resetModules();
    const { openModel: again } = await import('../../src/hub/index.ts');
    const model = await again(`hf:${ID}`, { endpoint: 'http://hub.invalid', cache });
    expect(await model.list()).toContain('config.json');
    expect(server.log[0]?.host).toBe('hub.invalid');
  });

  describe('whose download', () => {
    const large = 300_000;
    let body: Uint8Array;
    beforeEach(() => {
      body = Uint8Array.from({ length: large }, (_, i) => (i * 31) ^ (i >> 8));
      files['model.safetensors'] = body;
      server.kept = (bytes) => until(async () => (await partSize()) >= bytes, 30_000);
    });
    const partSize = () =>
      stat(join(folder(), 'model.safetensors.part')).then(
        ({ size }) => size,
        () => 0,
      );
    const fetchWeights = async (options = {}) => (await open(undefined, options)).open('model.safetensors');
    const ranges = () =>
      server.log.filter((one) => one.path === `/${ID}/${FIRST}/model.safetensors`).map((one) => one.range);
    const arrived = async () => sha256(await readFile(join(folder(), 'model.safetensors')));

    it('breaks midway goes on where it broke', async () => {
      server.faults.set('model.safetensors', [
        { kind: 'reset', after: 100_000 },
        { kind: 'reset', after: 50_000 },
      ]);
      await fetchWeights();
      expect(await arrived()).toBe(sha256(body));
      expect(ranges()).toEqual([undefined, 'bytes=100000-', 'bytes=150000-']);
    });

    it('breaks more often than the number of attempts succeeds as long as it gets further', async () => {
      server.faults.set(
        'model.safetensors',
        Array.from({ length: 9 }, () => ({ kind: 'reset' as const, after: 30_000 })),
      );
      await fetchWeights({ timeout: 30_000 });
      expect(await arrived()).toBe(sha256(body));
      const offsets = Array.from({ length: 9 }, (_, i) => `bytes=${(i + 1) * 30_000}-`);
      expect(ranges()).toEqual([undefined, ...offsets]);
    });

    it('stands still is broken off and goes on', async () => {
      server.faults.set('model.safetensors', [{ kind: 'stall', after: 100_000 }]);
      await fetchWeights({ timeout: 1000 });
      expect(await arrived()).toBe(sha256(body));
      expect(ranges()).toEqual([undefined, 'bytes=100000-']);
    });

    it('was interrupted goes on in the next run', async () => {
      server.faults.set('model.safetensors', [{ kind: 'stall', after: 200_000 }]);
      const stop = new AbortController();
      const first = fetchWeights({ signal: stop.signal });
      const part = join(folder(), 'model.safetensors.part');
      await vi.waitFor(async () => expect((await stat(part)).size).toBe(200_000));
      stop.abort();
      await expect(first).rejects.toThrow(/abort/i);
      await fetchWeights();
      expect(await arrived()).toBe(sha256(body));
      expect(ranges()).toEqual([undefined, 'bytes=200000-']);
    });

    it('is running in another process is done apart from it; after a process that died it goes on', async () => {
      await mkdir(folder(), { recursive: true });
      const [part, lock] = ['model.safetensors.part', 'model.safetensors.part.lock'].map((name) =>
        join(folder(), name),
      );
      await writeFile(part ?? '', body.subarray(0, 1000));
      await writeFile(lock ?? '', String(process.ppid));
      await fetchWeights();
      expect(ranges()).toEqual([undefined]);
      expect((await stat(part ?? '')).size).toBe(1000);

      await rm(join(folder(), 'model.safetensors'));
      await writeFile(lock ?? '', String(2 ** 22 + 1)); // beyond the largest process id
      await fetchWeights();
      expect(ranges()).toEqual([undefined, 'bytes=1000-']);
      expect(await arrived()).toBe(sha256(body));
      expect(await readdir(folder())).toEqual(['model.safetensors']);
    });

    it('is of a server that knows no ranges begins anew', async () => {
      server.faults.set('model.safetensors', [{ kind: 'reset', after: 100_000 }, { kind: 'ignore range' }]);
      await fetchWeights();
      expect(await arrived()).toBe(sha256(body));
    });

    it.each([
      ['is complete already', large],
      ['is longer than the file', large + 1],
    ])('left a part that %s', async (_, length) => {
      await mkdir(folder(), { recursive: true });
      const part = new Uint8Array(length);
      part.set(body);
      await writeFile(join(folder(), 'model.safetensors.part'), part);
      await fetchWeights();
      expect(await arrived()).toBe(sha256(body));
    });

    it('has another digest than was announced is thrown away and refused', async () => {
      server.faults.set('model.safetensors', [{ kind: 'change', at: 123 }]);
      const refused = problem(
        'corrupt-download',
        /model\.safetensors of acme\/tiny-vit arrived with the digest/,
      );
      await expect(fetchWeights()).rejects.toMatchObject({ ...refused, details: { expected: sha256(body) } });
      expect(await readdir(folder())).toEqual([]);
      await fetchWeights();
      expect(await arrived()).toBe(sha256(body));
    });

    it("of a small file is checked by git's hash", async () => {
      server.faults.set('config.json', [{ kind: 'change', at: 3 }]);
      await expect((await open()).open('config.json')).rejects.toMatchObject(
        problem('corrupt-download', /config\.json/),
      );
    });

    it('left a damaged part is refused once and then succeeds', async () => {
      await mkdir(folder(), { recursive: true });
      await writeFile(join(folder(), 'model.safetensors.part'), new Uint8Array(1000).fill(9));
      await expect(fetchWeights()).rejects.toMatchObject({ code: 'corrupt-download' });
      await fetchWeights();
      expect(await arrived()).toBe(sha256(body));
    });
  });

  describe('that cannot be had, says why:', () => {
    const model = () => server.models.get(ID) ?? {};
    it.each<[string, string, string, RegExp, () => void, object?]>([
      [
        'not there',
        'hf:acme/other',
        'unknown-model',
        /no model acme\/other.*private: then set HF_TOKEN/,
        () => {},
      ],
      ['no such revision', `hf:${ID}@v9`, 'unknown-model', /no revision "v9"/, () => {}],
      ['private', `hf:${ID}`, 'unknown-model', /set HF_TOKEN/, () => Object.assign(model(), { token: 'x' })],
      ['a wrong token', `hf:${ID}`, 'hub-denied', /does not accept the token/, () => {}, { token: 'bad' }],
      [
        'gated',
        `hf:${ID}`,
        'hub-denied',
        /accept its terms at http.*acme\/tiny-vit, then set HF_TOKEN/,
        () => Object.assign(model(), { gated: true }),
      ],
      [
        'forbidden',
        `hf:${ID}`,
        'hub-denied',
        /refuses access/,
        () => server.faults.set('api', [{ kind: 'status', status: 403 }]),
      ],
      [
        'in trouble',
        `hf:${ID}`,
        'hub-unavailable',
        /does not answer \(status 503\)/,
        () =>
          server.faults.set(
            'api',
            Array.from({ length: 5 }, () => ({ kind: 'status', status: 503 })),
          ),
      ],
      [
        'another server',
        `hf:${ID}`,
        'hub-unavailable',
        /does not answer as a model hub.*HF_ENDPOINT/,
        () => server.faults.set('api', [{ kind: 'text', text: '<html>' }]),
      ],
    ])('%s', async (_, reference, code, text, arrange, options = {}) => {
      arrange();
      await expect(readModel(await open(reference, options))).rejects.toMatchObject(problem(code, text));
    });

    it('no file of that name', async () => {
      await expect((await open()).open('weights.h5')).rejects.toMatchObject(
        problem('unknown-model', /no file "weights\.h5"/),
      );
    });

    it('nobody listens', async () => {
      const nobody = await open(undefined, { endpoint: 'http://127.0.0.1:1' });
      await expect(nobody.list()).rejects.toMatchObject(
        problem('hub-unavailable', /does not answer .*HTTPS_PROXY and HF_ENDPOINT/),
      );
    });
  });

  it('is asked for again when the hub is in trouble for a moment, as late as it asks', async () => {
    server.faults.set('api', [
      { kind: 'status', status: 502 },
      { kind: 'status', status: 429, headers: { 'retry-after': '0.05' } },
    ]);
    const start = performance.now();
    expect(await (await open()).list()).toContain('config.json');
    expect(performance.now() - start).toBeGreaterThanOrEqual(45);
  });

  it('is used as it was last time when there is no connection, and says so', async () => {
    await readModel(await open());
    server.faults.set(
      'api',
      Array.from({ length: 5 }, () => ({ kind: 'status', status: 503 })),
    );
    expect(new Map((await readModel(await open())).tensors)).toEqual(canonical);
    expect(report.notes).toEqual([
      expect.stringMatching(/using acme\/tiny-vit as it was last time \(11111111\)/),
    ]);
  });

  it('never writes outside of its folder, whatever the server calls its files', async () => {
    files['../../escaped.json'] = new Uint8Array(1);
    files['..'] = new Uint8Array(1);
    files['onnx/model.onnx'] = new Uint8Array(1);
    const model = await open();
    expect(await model.list()).toEqual(['README.md', 'config.json', 'model.safetensors']);
    await expect(model.open('../../escaped.json')).rejects.toMatchObject({ code: 'unknown-model' });
  });
});
