import type { RunningServer } from '../../src/host/index.ts';

/** What `/v1/embed` answered, in the contract's words. */
export interface Embedded {
  readonly status: number;
  readonly embedding?: number[];
  readonly level?: number;
  readonly code?: string;
}

/** Sends an image to a gateway. */
export async function embedAt(
  { url }: RunningServer,
  image: Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<Embedded> {
  const response = await fetch(`${url}/v1/embed`, {
    method: 'POST',
    body: image,
    headers: { 'Content-Type': 'image/png', ...headers },
  });
  return { ...((await response.json()) as object), status: response.status }; // an object either way
}

/** Images that the gateway ran once more. */
export async function retriesOf({ url }: RunningServer): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^concertina_retries_total (\d+)/m.exec(text)?.[1]);
}
