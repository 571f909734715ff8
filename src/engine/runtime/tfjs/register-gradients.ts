import { createRequire, registerHooks } from 'node:module';

const RULES = '@tensorflow/tfjs-core/dist/register_all_gradients.js';

/**
 * Loads the rules that `@tensorflow/tfjs-core` differentiates with. Its bundle for Node leaves them out, and the modules
 * that hold them name each other without `.js`, which bundlers take and Node does not.
 */
export function registerGradients(): void {
  const require = createRequire(import.meta.url);
  const own = /[/\\]@tensorflow[/\\]tfjs-core[/\\]dist[/\\]/;
  const hooks = registerHooks({
    resolve: (specifier, context, next) => {
      const within = own.test(decodeURI(context.parentURL ?? '')) && /^\.\.?\//.test(specifier);
      if (!within && specifier !== RULES) return next(specifier, context);
      const named = specifier.endsWith('.js') ? specifier : `${specifier}.js`;
      return { ...next(named, context), format: 'module' };
    },
  });
  try {
    require(RULES);
  } finally {
    hooks.deregister();
  }
}
