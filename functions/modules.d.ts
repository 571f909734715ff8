/** What wrangler turns into modules of a Worker: compiled WebAssembly, and text. */
declare module '*.wasm' {
  const module: object;
  export default module;
}
declare module '*.yaml' {
  const text: string;
  export default text;
}
