import { readFileSync } from 'node:fs';

/**
 * Imports point one way, down the list of `tools/architecture/folders.json`, which is also the table of ARCHITECTURE.md: each
 * folder of src/ names the folders it may import from; anything else is an error.
 */
const FOLDERS = JSON.parse(readFileSync(new URL('tools/architecture/folders.json', import.meta.url), 'utf8'));

/**
 * What other folders may import: a folder's index.ts, its faces for one platform, and modules that a command or a function loads
 * without everything else. All of src/network is public: it is what graphs are put together from.
 */
const FACES = [
  '^src/[^/]+/index\\.ts$',
  '^src/(storage/node|vit/node|vit/web/index|engine/runtime/wasm/index)\\.ts$',
  '^src/(engine/devices|host/(assets|keys-source|tiers-file|version)|cli/(console|run))\\.ts$',
  '^src/network/',
];

/** Folders that must also run on the Workers runtime: no Node built-ins there. */
const PORTABLE =
  '^src/(problem|gateway|serving|budget|checkpoint|client|edge|network|engine/runtime/wasm|vit/web|storage/(r2|memory|store))';

export default {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    ...FOLDERS.map(({ name, imports }) => ({
      name: `${name}-imports`,
      severity: 'error',
      comment: `src/${name} may import only from ${[name, ...imports].join(', ')}`,
      from: { path: `^src/${name}/` },
      to: { path: '^(src|functions)/', pathNot: `^src/(${[name, ...imports].join('|')})/` },
    })),
    {
      name: 'folders-are-listed',
      comment: 'tools/architecture/folders.json says what every folder of src/ may import',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: `^src/(${FOLDERS.map(({ name }) => name).join('|')})/` },
      to: {},
    },
    {
      name: 'index-is-the-face',
      comment: 'What a folder does not export in its index.ts is private',
      severity: 'error',
      from: { path: '^src/([^/]+)/' },
      to: { path: '^src/[^/]+/', pathNot: ['^src/$1/', ...FACES] },
    },
    {
      name: 'index-is-the-face-of-functions',
      severity: 'error',
      from: { path: '^(functions/|src/[^/]+$)' },
      to: { path: '^src/[^/]+/', pathNot: FACES },
    },
    {
      name: 'portable-folders-use-no-node-built-ins',
      severity: 'error',
      from: { path: PORTABLE },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'web-engine-needs-no-node',
      comment: 'What the web engine shares with the others must not start threads or look at files',
      severity: 'error',
      from: { path: '^src/engine/runtime/wasm' },
      to: { path: '^src/engine/(runtime/(native|tfjs)/|(analysis|create|index)\\.ts$)' },
    },
    {
      name: 'network-has-one-face',
      comment: 'What src/network/index.ts does not export is private',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/network/' },
      to: { path: '^src/network/', pathNot: '^src/network/index\\.ts$' },
    },
    {
      name: 'kernels-stand-alone',
      comment: 'Bare loops over numbers, checked by tsconfig.kernels.json, know nothing of the rest',
      severity: 'error',
      from: { path: '^src/.*/kernels/' },
      to: { path: '^src/', pathNot: '/kernels/' },
    },
    {
      name: 'product-does-not-import-tests',
      severity: 'error',
      from: { path: '^(src|functions)' },
      to: { path: '^(test|bench|tools)' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    parser: 'swc',
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.mjs', '.json'] },
  },
};
