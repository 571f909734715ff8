import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { access, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const PROGRAMS = ['ceph', 'ceph-mon', 'ceph-osd', 'monmaptool', 'radosgw', 'radosgw-admin'];
const START_MS = 90_000;
const COMMAND_ATTEMPTS = 5;

export interface Gateway {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  stop(): Promise<void>;
}

/** Whether the programs of Debian's `radosgw ceph-mon ceph-osd ceph-common` are here. */
export async function cephInstalled(): Promise<boolean> {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const found = await Promise.all(
    PROGRAMS.map(async (program) => {
      const places = await Promise.allSettled(folders.map((folder) => access(join(folder, program))));
      return places.some(({ status }) => status === 'fulfilled');
    }),
  );
  return found.every(Boolean);
}

/** A real S3 server: one monitor, one OSD in memory and a RADOS Gateway on a free port of the loopback. */
export async function startGateway(): Promise<Gateway> {
  const root = await mkdtemp(join(tmpdir(), 'concertina-ceph-'));
  const children: ChildProcess[] = [];
  const stop = async () => {
    await Promise.all(children.reverse().map(end));
    await rm(root, { recursive: true, force: true });
  };
  try {
    const [monitor, port] = [await freePort(), await freePort()];
    const conf = join(root, 'ceph.conf');
    const fsid = randomUUID();
    await Promise.all(['run', 'log', 'mon', 'osd', 'rgw'].map((name) => mkdir(join(root, name))));
    await writeFile(conf, configuration({ root, fsid, monitor, port }));
    const ceph = (...words: string[]) => command(conf, words);
    const launch = (program: string, ...words: string[]) => {
      const log = openSync(join(root, 'log', `${program}.out`), 'a');
      const child = spawn(program, ['-c', conf, '-f', ...words], { stdio: ['ignore', log, log] });
      closeSync(log);
      children.push(child);
    };

    const map = join(root, 'monmap');
    await run('monmaptool', ['--create', '--fsid', fsid, '--addv', 'a', `[v1:127.0.0.1:${monitor}]`, map]);
    await run('ceph-mon', ['-c', conf, '--mkfs', '-i', 'a', '--monmap', map]);
    launch('ceph-mon', '-i', 'a');
    await until('the monitor', async () => (await ceph('osd', 'stat')).stdout.length > 0);

    const osd = randomUUID();
    const id = (await ceph('osd', 'new', osd)).stdout.trim();
    await run('ceph-osd', ['-c', conf, '-i', id, '--mkfs', '--osd-uuid', osd]);
    launch('ceph-osd', '-i', id);
    await ceph('osd', 'crush', 'set-device-class', 'ssd', `osd.${id}`);
    await ceph('osd', 'crush', 'add', `osd.${id}`, '1.0', 'root=default', 'host=h');
    await until('the OSD', async () => (await ceph('osd', 'stat')).stdout.includes('1 up'));

    const [accessKeyId, secretAccessKey] = ['testkey', 'testsecret'];
    const user = [
      '--uid=test',
      '--display-name=test',
      `--access-key=${accessKeyId}`,
      `--secret-key=${secretAccessKey}`,
    ];
    await run('radosgw-admin', ['-c', conf, 'user', 'create', ...user]);
    launch('radosgw', '-n', 'client.rgw.a');
    const endpoint = `http://127.0.0.1:${port}`;
    await until('the gateway', async () => (await fetch(endpoint)).ok);
    return { endpoint, accessKeyId, secretAccessKey, stop };
  } catch (error) {
    const logs = await lastLines(join(root, 'log'));
    await stop();
    throw new Error(`The RADOS Gateway did not start.\n${logs}`, { cause: error });
  }
}

function configuration(given: { root: string; fsid: string; monitor: number; port: number }): string {
  const { root, fsid, monitor, port } = given;
  return `[global]
fsid = ${fsid}
mon host = v1:127.0.0.1:${monitor}
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = ${root}/run
admin socket = ${root}/run/$cluster-$name.asok
log file = ${root}/log/$name.log
pid file = ${root}/run/$name.pid
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd crush update on start = false
osd class update on start = false
osd objectstore = memstore
memstore device bytes = 2147483648
osd data = ${root}/osd
mon data = ${root}/mon
mon allow pool size one = true
mon warn on pool no redundancy = false
mon cluster log file = ${root}/log/cluster.log
mon data avail warn = 1
mon data avail crit = 1
debug ms = 0
rgw data = ${root}/rgw
rgw dns name = localhost
rgw thread pool size = 32
rgw enable usage log = false
rgw enable gc threads = false
rgw enable lc threads = false
rgw enable quota threads = false
rgw run sync thread = false
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:${port}
`;
}

/** On a busy machine the monitor sometimes drops the client before it has answered; the same command may be sent again. */
async function command(conf: string, words: readonly string[]): Promise<{ stdout: string }> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run('ceph', ['-c', conf, '--connect-timeout', '10', ...words]);
    } catch (error) {
      if (attempt === COMMAND_ATTEMPTS) throw error;
      await new Promise((done) => setTimeout(done, 500 * attempt));
    }
  }
}

async function until(what: string, ready: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + START_MS;
  for (;;) {
    if (await ready().catch(() => false)) return;
    if (Date.now() > deadline) throw new Error(`${what} did not answer in ${START_MS / 1000} s`);
    await new Promise((done) => setTimeout(done, 250));
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((done) => child.once('exit', done));
  // Nothing of it is kept: an orderly shutdown of the daemons would only take seconds.
  child.kill('SIGKILL');
  await gone;
}

async function freePort(): Promise<number> {
  return await new Promise((done, fail) => {
    const server = createServer().once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => done(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

async function lastLines(folder: string): Promise<string> {
  const texts = await Promise.all(
    (await readdir(folder).catch(() => [])).map(async (name) => {
      const lines = (await readFile(join(folder, name), 'utf8')).trimEnd().split('\n').slice(-15);
      return `--- ${name}\n${lines.join('\n')}`;
    }),
  );
  return texts.join('\n');
}
