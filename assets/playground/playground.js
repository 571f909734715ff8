/** The playground: what is asked, what comes back, and the three views. */
import { embed, mediaType, models, Refusal, samples } from './api.js';
import { showAnswer, showOwnFidelity } from './answer-card.js';
import { budgetCard } from './budget-card.js';
import { KINDS } from './budget.js';
import { alertIn, byId, el } from './dom.js';
import { imageCard } from './image-card.js';
import { keyDialog } from './key-dialog.js';
import { ladderView } from './ladder.js';
import { loadView } from './load.js';
import { cosine, SampleIndex, showNeighbours } from './neighbours.js';
import { networkPicture } from './network.js';
import { snippets } from './snippets.js';
import { watchViews } from './views.js';
import { sentence } from './words.js';

/** A pause of the slider before the neighbours are looked for. */
const REST_MS = 200;
const RELOAD_MS = 2000;
const FIRST_SAMPLE = 'car-1.jpg';

const state = {
  /** @type {object[]} */ models: [],
  /** @type {object | undefined} */ model: undefined,
  /** @type {{ file: string, title: string, category: string }[]} */ samples: [],
  /** @type {{ blob: Blob, file: string, sample?: string, full?: Promise<object> } | undefined} */ image: undefined,
  /** @type {object | undefined} */ answer: undefined,
  /** @type {Map<string, { level: number, precision: string, ms: number }>} engine times seen from this page */
  measured: new Map(),
};
let index = new SampleIndex([]);
/** When the ladder was read last. */
let refreshed = 0;
let picture;

const code = snippets(byId('languages'), byId('snippets'));
const budget = budgetCard(() => void ask());
const images = imageCard(async (image) => {
  state.image = image;
  await ask();
}, refuse);
const openKey = keyDialog(() => void start());
const ladder = ladderView((level) => {
  budget.choose(level);
  location.hash = '#try';
});
const load = loadView(() => ({
  levels: state.model?.ladder.length ?? 0,
  samples: state.samples,
  model: state.model?.id ?? '',
}));

// Models and samples

async function start() {
  try {
    state.models = await models();
    if (state.models.length === 0)
      throw new Error('This gateway serves no model yet. Publish one to its store with “concertina prune”; it appears here by itself.');
    const picker = byId('model');
    picker.replaceChildren(...state.models.map(({ id }) => el('option', { value: id, text: id })));
    picker.closest('label').hidden = state.models.length < 2;
    chooseModel(state.model?.id ?? state.models[0].id);
    if (state.samples.length === 0) {
      state.samples = await samples();
      index = new SampleIndex(state.samples);
      images.showSamples(state.samples);
    }
    const [first] = state.samples;
    if (state.image || !first) await ask();
    else await images.chooseSample(state.samples.find(({ file }) => file === FIRST_SAMPLE) ?? first);
  } catch (error) {
    refuse(error);
    if (state.models.length === 0 && !(error instanceof Refusal && error.status < 500)) setTimeout(start, RELOAD_MS);
  }
}

function chooseModel(id) {
  state.model = state.models.find((model) => model.id === id) ?? state.models[0];
  const { model } = state;
  byId('model').value = model.id;
  state.measured = new Map();
  state.answer = undefined;
  if (state.image) state.image.full = undefined;
  picture = networkPicture(byId('network'), model);
  picture.fold(model.ladder.at(-1));
  byId('about').textContent =
    `${model.id}: ${model.architecture}, ${model.image_size} × ${model.image_size} pixels to ${model.dimensions} numbers, ${model.ladder.length} levels.`;
  budget.setModel(model);
  showLadder();
  if (model.ladder.some(({ loaded }) => !loaded)) setTimeout(refreshModel, RELOAD_MS);
}

/** Levels arrive one after another, and their predictions follow what the machine does. */
async function refreshModel() {
  refreshed = performance.now();
  try {
    const list = await models();
    const fresh = list.find(({ id }) => id === state.model?.id);
    if (!fresh) return;
    state.models = list;
    state.model = fresh;
    budget.refresh(fresh);
    showLadder();
    if (fresh.ladder.some(({ loaded }) => !loaded)) setTimeout(refreshModel, RELOAD_MS);
  } catch {
    // The next request tells what is wrong.
  }
}

function showLadder() {
  if (state.model) ladder.show(state.model, state.answer, [...state.measured.values()]);
}

// Asking

let asking = false;
let again = false;

/** One request at a time; what changes meanwhile is asked next, and only the latest of it. */
async function ask() {
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  byId('answer').setAttribute('aria-busy', 'true');
  do {
    again = false;
    await askOnce();
  } while (again);
  asking = false;
  byId('answer').setAttribute('aria-busy', 'false');
}

async function askOnce() {
  const { image, model } = state;
  if (!image || !model) return;
  const asked = budget.current();
  const kind = KINDS[asked.kind];
  const header = kind.header(asked.value);
  code.show({
    header,
    budget: kind.client(asked.value),
    file: image.file,
    sample: image.sample,
    type: mediaType(image.blob),
    model: model.id,
  });
  try {
    const answer = await embed(image.blob, { model: model.id, budget: header });
    if (model.id !== state.model?.id) return;
    state.answer = answer;
    const { level, precision, timing } = answer;
    state.measured.set(`${level} ${precision}`, { level, precision, ms: timing.infer ?? Number.NaN });
    alertIn(byId('try-problem'), undefined);
    byId('results').classList.remove('stale', 'blank');
    showAnswer(answer, state.model, asked);
    const kept = state.model.ladder[level];
    if (kept) picture.fold(kept);
    budget.answered(answer);
    showLadder();
    lookAround(answer, image, model);
  } catch (error) {
    refuse(error);
  }
}

function refuse(error) {
  const keyed = error instanceof Refusal && ['missing-key', 'unknown-key'].includes(error.code);
  const alert = byId('try-problem');
  alertIn(alert, sentence(error), ...(keyed ? [' ', el('button', { type: 'button', class: 'link', text: 'Enter a key', onclick: openKey })] : []));
  const { top, bottom } = alert.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) alert.scrollIntoView({ block: 'center' });
  byId('results').classList.toggle('stale', state.answer !== undefined);
  byId('answer').setAttribute('aria-busy', 'false');
  if (!state.answer) {
    byId('answer-level').textContent = 'No answer';
    byId('answer-why').textContent = '';
  }
  if (keyed && error.code === 'missing-key') openKey();
}

let resting;

/** The full network's answer to the same image, and the neighbours of both, once the slider rests. */
function lookAround(answer, image, model) {
  clearTimeout(resting);
  resting = setTimeout(async () => {
    const current = () => state.answer === answer && state.image === image && state.model?.id === model.id;
    const note = byId('neighbours-note');
    try {
      image.full ??= embed(image.blob, { model: model.id });
      const full = await image.full;
      if (!current()) return;
      if (performance.now() - refreshed > RELOAD_MS) void refreshModel();
      showOwnFidelity(cosine(answer.vector, full.vector));
      if (byId('neighbours').childElementCount === 0) note.textContent = 'Embedding the samples …';
      const top = await index.at(model, full.level);
      const here = await index.at(model, answer.level);
      if (!current()) return;
      showNeighbours(byId('neighbours'), note, {
        here: index.nearest(answer.vector, here, image.sample),
        full: index.nearest(full.vector, top, image.sample),
        level: answer.level,
        fullLevel: full.level,
      });
    } catch (error) {
      image.full = undefined;
      if (current()) note.textContent = sentence(error);
    }
  }, REST_MS);
}

byId('model').addEventListener('change', ({ target }) => {
  chooseModel(target.value);
  void ask();
});
watchViews((view) => {
  if (view === 'load') load.open();
  else load.close();
  if (view === 'ladder') void refreshModel();
});
void start();
