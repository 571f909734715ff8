/** The gateway's HTTP contract, as far as this page needs it. */

/** Where the gateway is: this page's own folder, so that a proxy may put a path in front. */
export const BASE = new URL('./', document.baseURI);

const KEY = 'concertina-key';
let key = '';
try {
  key = sessionStorage.getItem(KEY) ?? '';
} catch {
  // Storage may be forbidden; then the key lives as long as the page.
}

export const apiKey = () => key;

export function setApiKey(value) {
  key = value.trim();
  try {
    if (key) sessionStorage.setItem(KEY, key);
    else sessionStorage.removeItem(KEY);
  } catch {
    // See above.
  }
}

/** What the gateway said no with: RFC 9457 problem details, whose `detail` is a sentence for people. */
export class Refusal extends Error {
  name = 'Refusal';

  constructor(status, problem, retryAfter) {
    super(problem?.detail ?? `The gateway answered with status ${status}.`);
    this.status = status;
    this.code = problem?.code ?? 'unknown';
    this.retryAfter = retryAfter;
  }
}

/** @throws {Refusal} and TypeError when nothing answers */
async function request(path, { headers = {}, ...init } = {}) {
  const response = await fetch(new URL(path, BASE), {
    ...init,
    headers: { ...headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) },
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => undefined);
  throw new Refusal(response.status, problem, Number(response.headers.get('Retry-After') ?? 0));
}

export const models = async () => (await (await request('v1/models')).json()).data;
export const metrics = async (signal) => (await request('metrics', { signal })).text();
export const samples = async () => (await (await request('samples/index.json')).json()) ?? [];
export const sample = async (file) => (await request(`samples/${file}`)).blob();
export const sampleUrl = (file) => new URL(`samples/${file}`, BASE).href;

const IMAGE_TYPES = /^image\/(jpeg|png|webp|avif|gif|tiff)$/;

/** The bytes decide what an image is; a type that the gateway has no name for would be refused before they are read. */
export const mediaType = ({ type }) => (IMAGE_TYPES.test(type) ? type : 'application/octet-stream');

/**
 * Embeds one image.
 * @param {Blob} image
 * @param {{ model: string, budget?: string, signal?: AbortSignal }} options `budget` is a Compute-Budget header
 */
export async function embed(image, { model, budget, signal }) {
  const began = performance.now();
  const response = await request(`v1/embed?model=${encodeURIComponent(model)}`, {
    method: 'POST',
    body: image,
    signal,
    headers: {
      Accept: 'application/octet-stream',
      'Content-Type': mediaType(image),
      ...(budget ? { 'Compute-Budget': budget } : {}),
    },
  });
  const vector = new Float32Array(await response.arrayBuffer());
  const roundTrip = performance.now() - began;
  const applied = dictionary(response.headers.get('Compute-Applied') ?? '');
  return {
    vector,
    roundTrip,
    level: Number(applied.level),
    flops: Number(applied.flops),
    fidelity: Number(applied.fidelity),
    predicted: Number(applied.predicted),
    precision: applied.precision ?? 'fp32',
    limitedBy: applied['limited-by'] ?? 'none',
    timing: serverTiming(response.headers.get('Server-Timing') ?? ''),
  };
}

/** Embeds several images with one budget, as in a JSON body: `[images][width]`. */
export async function embedForm(images, { model, budget, signal }) {
  const form = new FormData();
  for (const image of images) form.append('image', image, 'image');
  form.append('model', model);
  if (budget) form.append('compute_budget', JSON.stringify(budget));
  const response = await request('v1/embed', {
    method: 'POST',
    body: form,
    signal,
    headers: { Accept: 'application/octet-stream' },
  });
  const numbers = new Float32Array(await response.arrayBuffer());
  const width = numbers.length / images.length;
  return images.map((_, i) => numbers.subarray(i * width, (i + 1) * width));
}

/** A dictionary of numbers and tokens (RFC 9651), which is all that Compute-Applied has. */
function dictionary(text) {
  return Object.fromEntries(text.split(',').map((member) => member.trim().split('=')));
}

function serverTiming(text) {
  const entries = text.split(',').map((entry) => /^\s*([\w-]+);dur=([\d.]+)/.exec(entry));
  return Object.fromEntries(entries.filter(Boolean).map(([, name, duration]) => [name, Number(duration)]));
}
