/**
 * Adds to `package-lock.json` the platform packages that the registry in use does not carry.
 *
 *     npm install && node tools/complete-lock/complete-lock.mjs
 *
 * A registry mirror that lacks, say, a macOS binary makes `npm install` leave it out of the lock, and from then on
 * `npm ci` fails everywhere ("Missing: … from lock file"). The entries written here carry version, os and cpu, read from
 * the package's name; npm skips them on other platforms and asks its registry for them where they fit.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const file = new URL('../../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
const packages = lock.packages;

/** Whether `name` at `version` resolves from the package at `from`. */
function resolves(from, name, version) {
  for (
    let folder = from;
    ;
    folder = folder.slice(0, Math.max(0, folder.lastIndexOf('node_modules/'))).replace(/\/$/, '')
  ) {
    const candidate = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`;
    if (packages[candidate]) return packages[candidate].version === version;
    if (folder === '') return false;
  }
}

const OS = [['android'], ['darwin'], ['freebsd'], ['windows', 'win32'], ['win32'], ['linux']];
const CPU = [
  ['arm64'],
  ['x64'],
  ['ia32'],
  ['ppc64'],
  ['s390x'],
  ['riscv64'],
  ['loong64'],
  ['arm'],
  ['64', 'x64'],
];
const pick = (name, table) => table.find(([word]) => new RegExp(`(^|-)${word}(-|$)`).test(name))?.at(-1);

let added = 0;
for (const [path, entry] of Object.entries(packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (resolves(path, name, version) || !/^\d+\.\d+\.\d+/.test(version)) continue;
    const short = name.slice(name.indexOf('/') + 1);
    const os = pick(short, OS);
    const cpu = pick(short, CPU);
    if (!os || !cpu) throw new Error(`cannot tell the platform of ${name}: add its words to this script`);
    const parent = path.slice(0, path.lastIndexOf('node_modules/'));
    const place = packages[`node_modules/${name}`] ? `${parent}node_modules/${name}` : `node_modules/${name}`;
    const libc = short.endsWith('-musl') ? { libc: ['musl'] } : {};
    packages[place] = {
      version,
      cpu: [cpu],
      ...(entry.dev ? { dev: true } : {}),
      ...libc,
      optional: true,
      os: [os],
    };
    added++;
  }
}
lock.packages = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added} platform packages added`);
