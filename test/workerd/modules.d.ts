/** What is used of the module that the tests' runtime gives. */
declare module 'cloudflare:test' {
  import type { EdgeBindings, EdgeContext } from '../../src/edge/index.ts';

  /** The Worker's bindings, and the files of the checkpoint. */
  export const env: EdgeBindings & { readonly FILES: { fetch(address: string): Promise<Response> } };
  /** The Worker. */
  export const SELF: { fetch(address: string, init?: RequestInit): Promise<Response> };
  export function createExecutionContext(): EdgeContext;
  export function waitOnExecutionContext(context: EdgeContext): Promise<void>;
}
