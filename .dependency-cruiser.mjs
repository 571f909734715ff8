/**
 * Imports point one way. Each folder of src/ names the folders it may import from; anything else is an error.
 * The order is the one of ARCHITECTURE.md: cli, functions -> gateway -> serving -> budget, engine -> checkpoint, network
 * -> storage, vit -> problem; pruning, evaluation -> engine, checkpoint, vit.
 */
const MAY_IMPORT = {
  problem: [],
  progress: ['problem'],
  vit: ['problem'],
  storage: ['problem'],
  checkpoint: ['storage', 'vit', 'problem'],
  budget: ['checkpoint', 'storage', 'vit', 'problem'],
  hub: ['storage', 'vit', 'problem', 'progress'],
  network: ['vit', 'problem'],
  engine: ['network', 'checkpoint', 'storage', 'vit', 'problem'],
  pruning: ['engine', 'network', 'checkpoint', 'storage', 'vit', 'problem', 'progress'],
  evaluation: ['pruning', 'engine', 'checkpoint', 'storage', 'vit', 'problem', 'progress'],
  serving: ['budget', 'engine', 'checkpoint', 'storage', 'vit', 'problem'],
  gateway: ['serving', 'budget', 'engine', 'checkpoint', 'storage', 'vit', 'problem'],
  host: ['gateway', 'serving', 'budget', 'engine', 'checkpoint', 'storage', 'vit', 'problem', 'progress'],
  edge: ['gateway', 'serving', 'budget', 'engine', 'checkpoint', 'storage', 'vit', 'problem'],
  client: [],
};

/** Folders that must also run on the Workers runtime: no Node built-ins there. */
const PORTABLE =
  '^src/(problem|gateway|serving|budget|checkpoint|client|edge|network|engine/runtime/wasm|vit/web|storage/(r2|memory|store))';

export default {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    ...Object.entries(MAY_IMPORT).map(([folder, allowed]) => ({
      name: `${folder}-imports`,
      severity: 'error',
      comment: `src/${folder} may import only from ${[folder, ...allowed].join(', ')}`,
      from: { path: `^src/${folder}/` },
      to: { path: '^(src|functions)/', pathNot: `^src/(${[folder, ...allowed].join('|')})/` },
    })),
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
