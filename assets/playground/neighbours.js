/** Nearest samples at a level, beside those of the full network. Embeddings of the samples are kept per level. */
import { embedForm, sample, sampleUrl } from './api.js';
import { el } from './dom.js';

const NEAREST = 5;
/** Images of one request: few, so that the page's own requests do not queue behind them for long. */
const BATCH = 8;

/** The sample images and their embeddings, level by level. */
export class SampleIndex {
  #samples;
  #blobs;
  #levels = new Map();

  /** @param {readonly { file: string, title: string, category: string }[]} samples */
  constructor(samples) {
    this.#samples = samples;
  }

  async #images() {
    this.#blobs ??= Promise.all(this.#samples.map(({ file }) => sample(file)));
    return await this.#blobs;
  }

  /** Embeddings `[samples][width]` of one level of one version of a model; computed once. */
  at({ id, digest }, level) {
    const key = `${id} ${digest} ${level}`;
    let vectors = this.#levels.get(key);
    if (!vectors) {
      vectors = this.#compute(id, level);
      this.#levels.set(key, vectors);
      vectors.catch(() => this.#levels.delete(key));
    }
    return vectors;
  }

  async #compute(model, level) {
    const images = await this.#images();
    const vectors = [];
    for (let from = 0; from < images.length; from += BATCH)
      vectors.push(...(await embedForm(images.slice(from, from + BATCH), { model, budget: { level } })));
    return vectors;
  }

  /**
   * The nearest samples by cosine, nearest first.
   * @param {Float32Array} query of length 1, as the gateway gives it
   * @param {string | undefined} self file of the sample that the query is, which is no neighbour
   */
  nearest(query, vectors, self) {
    return this.#samples
      .map((entry, i) => ({ ...entry, cosine: cosine(query, vectors[i]) }))
      .filter(({ file }) => file !== self)
      .sort((a, b) => b.cosine - a.cosine)
      .slice(0, NEAREST);
  }
}

/** Cosine of two vectors of length 1. */
export function cosine(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** Shows both rows, and says how far they agree. */
export function showNeighbours(into, note, { here, full, level, fullLevel }) {
  const agreed = new Set(here.map(({ file }) => file).filter((file) => full.some((other) => other.file === file)));
  note.textContent =
    agreed.size === full.length ? `All ${full.length} the same` : `${agreed.size} of ${full.length} the same`;
  into.replaceChildren(
    strip(`At this budget, level ${level}`, here, agreed),
    strip(`At full budget, level ${fullLevel}`, full, agreed),
  );
}

function strip(title, entries, agreed) {
  const items = entries.map(({ file, title: alt, cosine }) =>
    el('li', { class: agreed.has(file) ? 'agreed' : 'other' },
      el('img', { src: sampleUrl(file), alt, width: 72, height: 72 }),
      el('span', { class: 'small', text: cosine.toFixed(3) }),
    ),
  );
  return el('div', { class: 'strip' }, el('h3', { text: title }), el('ol', {}, ...items));
}
