/** The playground: what is asked, what comes back, and the three views. */
import { apiKey, embed, mediaType, models, Refusal, sample, samples, sampleUrl, setApiKey } from './api.js';
import { KINDS } from './budget.js';
import { alertIn, byId, el, style } from './dom.js';
import { ladderView } from './ladder.js';
import { loadView } from './load.js';
import { cosine, SampleIndex, showNeighbours } from './neighbours.js';
import { networkPicture } from './network.js';
import { snippets } from './snippets.js';
import { serverTime, showTiming } from './timing.js';
import { because, fidelity, ms, percent, sentence } from './words.js';

/** A pause of the slider before the neighbours are looked for. */
const REST_MS = 200;
const RELOAD_MS = 2000;

const state = {
  /** @type {object[]} */ models: [],
  /** @type {object | undefined} */ model: undefined,
  /** @type {{ file: string, title: string, category: string }[]} */ samples: [],
  /** @type {{ blob: Blob, file: string, sample?: string, full?: Promise<object> } | undefined} */ image: undefined,
  kind: 'flops',
  /** Value of each kind of budget, once it has one. */
  values: {},
  /** @type {object | undefined} */ answer: undefined,
  /** Engine times measured from this page, by level, ms. */ measured: new Map(),
  decodeMs: 3,
};
let index = new SampleIndex([]);
/** When the ladder was read last. */
let refreshed = 0;
let picture;

const code = snippets(byId('languages'), byId('snippets'));
const ladder = ladderView((level) => {
  state.values.flops = KINDS.flops.read(KINDS.flops.write(Math.ceil(level.flops * 100) / 100, state.model), state.model);
  chooseKind('flops');
  location.hash = '#try';
  void ask();
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
    if (state.models.length === 0) throw new Error('This gateway serves no model yet.');
    const picker = byId('model');
    picker.replaceChildren(...state.models.map(({ id }) => el('option', { value: id, text: id })));
    picker.closest('label').hidden = state.models.length < 2;
    chooseModel(state.model?.id ?? state.models[0].id);
    if (state.samples.length === 0) await showSamples();
    if (!state.image && state.samples.length > 0) await chooseSample(defaultSample());
    else await ask();
  } catch (error) {
    refuse(error);
  }
}

function defaultSample() {
  return state.samples.find(({ file }) => file === 'car-1.jpg') ?? state.samples[0];
}

function chooseModel(id) {
  state.model = state.models.find((model) => model.id === id) ?? state.models[0];
  const { model } = state;
  state.measured = new Map();
  state.values = {};
  if (state.image) state.image.full = undefined;
  picture = networkPicture(byId('network'), model);
  picture.fold(model.ladder.at(-1));
  byId('about').textContent =
    `${model.id}: ${model.architecture}, ${model.image_size} × ${model.image_size} pixels to ${model.dimensions} numbers, ${model.ladder.length} levels.`;
  showBudget();
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
    showTicks();
    showLadder();
    if (fresh.ladder.some(({ loaded }) => !loaded)) setTimeout(refreshModel, RELOAD_MS);
  } catch {
    // The next request tells what is wrong.
  }
}

async function showSamples() {
  state.samples = await samples();
  index = new SampleIndex(state.samples);
  byId('samples').replaceChildren(
    ...state.samples.map((entry) => {
      const radio = el('input', { type: 'radio', name: 'sample', value: entry.file, class: 'hidden' });
      radio.addEventListener('change', () => void chooseSample(entry));
      return el('label', { title: entry.title }, radio, el('img', { src: sampleUrl(entry.file), alt: entry.title, width: 48, height: 48 }));
    }),
  );
}

// The image

async function chooseSample({ file, title }) {
  try {
    const blob = await sample(file);
    for (const radio of byId('samples').querySelectorAll('input')) radio.checked = radio.value === file;
    await chooseImage({ blob, file, sample: file }, title);
  } catch (error) {
    refuse(error);
  }
}

async function chooseFile(file) {
  for (const radio of byId('samples').querySelectorAll('input')) radio.checked = false;
  await chooseImage({ blob: file, file: file.name || 'image' }, file.name || 'The image from the clipboard');
}

async function chooseImage(image, alt) {
  state.image = image;
  const preview = byId('preview');
  if (preview.src.startsWith('blob:')) URL.revokeObjectURL(preview.src);
  byId('stage').classList.remove('blank');
  preview.src = URL.createObjectURL(image.blob);
  preview.alt = alt;
  await ask();
}

function watchImages() {
  const stage = byId('stage');
  byId('preview').addEventListener('error', () => stage.classList.add('blank'));
  byId('file').addEventListener('change', ({ target }) => {
    const [file] = target.files;
    if (file) void chooseFile(file);
    target.value = '';
  });
  let depth = 0;
  const over = (step) => (event) => {
    event.preventDefault();
    depth = Math.max(0, depth + step);
    stage.classList.toggle('over', depth > 0);
  };
  document.addEventListener('dragenter', over(1));
  document.addEventListener('dragleave', over(-1));
  document.addEventListener('dragover', (event) => event.preventDefault());
  document.addEventListener('drop', (event) => {
    depth = 0;
    over(0)(event);
    const [file] = event.dataTransfer?.files ?? [];
    if (file) void chooseFile(file);
  });
  document.addEventListener('paste', (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file) void chooseFile(file);
  });
}

// The budget

const budget = () => ({ kind: state.kind, value: state.values[state.kind] });

function chooseKind(kind) {
  state.kind = kind;
  for (const radio of byId('kinds').querySelectorAll('input')) radio.checked = radio.value === kind;
  showBudget();
}

function showBudget() {
  const { model } = state;
  if (!model) return;
  const kind = KINDS[state.kind];
  const slider = byId('slider');
  if (state.values[state.kind] === undefined) {
    const at = kind.write(kind.start(model, state.decodeMs), model);
    state.values[state.kind] = kind.read(at, model);
  }
  slider.value = String(Math.round(1000 * kind.write(state.values[state.kind], model)));
  slider.setAttribute('aria-label', kind.label);
  byId('budget-note').textContent = kind.note();
  showValue();
  showTicks();
}

function showValue() {
  const kind = KINDS[state.kind];
  const slider = byId('slider');
  const value = state.values[state.kind];
  style(slider, { '--at': String(Number(slider.value) / 1000) });
  byId('budget-value').textContent = kind.show(value);
  byId('budget-unit').textContent = kind.unit(value, state.model);
  slider.setAttribute('aria-valuetext', `${kind.show(value)} ${kind.unit(value, state.model)}`);
}

function showTicks() {
  const kind = KINDS[state.kind];
  const { model, answer } = state;
  let last = -1;
  const marks = model.ladder
    .map((level) => ({ level: level.level, at: kind.write(kind.tick(level, state.decodeMs), model) }))
    .filter(({ at }) => Number.isFinite(at))
    .sort((a, b) => a.at - b.at)
    .map(({ level, at }) => {
      const mark = el('span', { class: level === answer?.level ? 'current' : undefined });
      style(mark, { '--at': String(at) });
      // Numbers that would touch are left out; the marks stay.
      if (at - last > 0.045) {
        mark.textContent = String(level);
        last = at;
      }
      return mark;
    });
  byId('ticks').replaceChildren(...marks);
}

function watchBudget() {
  byId('kinds').addEventListener('change', ({ target }) => {
    chooseKind(target.value);
    void ask();
  });
  byId('slider').addEventListener('input', ({ target }) => {
    state.values[state.kind] = KINDS[state.kind].read(Number(target.value) / 1000, state.model);
    showValue();
    void ask();
  });
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
  const asked = budget();
  const kind = KINDS[asked.kind];
  const header = kind.header(asked.value);
  code.show({
    header,
    budget: kind.client(asked.value),
    file: image.file,
    type: mediaType(image.blob),
    model: model.id,
  });
  try {
    const answer = await embed(image.blob, { model: model.id, budget: header });
    state.answer = answer;
    state.measured.set(answer.level, answer.timing.infer ?? Number.NaN);
    state.decodeMs = 0.7 * state.decodeMs + 0.3 * (answer.timing.decode ?? 0);
    alertIn(byId('try-problem'), undefined);
    byId('results').classList.remove('stale');
    showAnswer(answer, asked);
    lookAround(answer, image, model);
  } catch (error) {
    refuse(error);
  }
}

function refuse(error) {
  const keyed = error instanceof Refusal && (error.status === 401 || error.status === 403);
  const more = keyed && error.code !== 'url-not-allowed'
    ? [' ', el('button', { type: 'button', class: 'link', text: 'Enter a key', onclick: openKey })]
    : [];
  const alert = byId('try-problem');
  alertIn(alert, sentence(error), ...more);
  const { top, bottom } = alert.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) alert.scrollIntoView({ block: 'center' });
  byId('results').classList.toggle('stale', state.answer !== undefined);
  byId('answer').setAttribute('aria-busy', 'false');
  if (!state.answer) {
    byId('answer-level').textContent = 'No answer';
    byId('answer-why').textContent = '';
  }
}

// The answer

function showAnswer(answer, asked) {
  const { model } = state;
  const level = model.ladder[answer.level];
  if (!level) return;
  const levels = model.ladder.length;
  const most = answer.level === levels - 1;
  byId('answer-level').replaceChildren(
    `Level ${answer.level}`,
    el('span', { class: 'muted', text: most ? ', the full network' : ` of ${levels - 1}` }),
  );
  byId('answer-why').textContent = because(answer, model.ladder, asked);
  const spent = serverTime(answer);
  const late = asked.kind === 'latency' && spent > asked.value;
  figures([
    ['FLOPs', percent(answer.flops), `${level.gflops.toPrecision(3)} GFLOPs`],
    ['Fidelity', fidelity(answer.precision === 'fp32' ? level.fidelity : answer.fidelity), 'published mean', 'own-fidelity'],
    ['Server time', ms(spent), asked.kind === 'latency' ? (late ? `over ${ms(asked.value)}` : `within ${ms(asked.value)}`) : 'with decoding and waiting'],
  ]);
  byId('network-note').textContent = `${percent(sum(level.heads) / (model.blocks.heads * model.blocks.depth))} of the heads, ${percent(sum(level.channels) / (model.blocks.channels * model.blocks.depth))} of the channels${answer.precision === 'fp32' ? '' : `, ${answer.precision}`}`;
  picture.fold(level);
  showTiming(byId('timing'), answer);
  byId('time-note').textContent = `${ms(answer.roundTrip)} from this page and back`;
  showTicks();
  showLadder();
}

const sum = (list) => list.reduce((a, b) => a + b, 0);

function figures(list) {
  byId('figures').replaceChildren(
    ...list.map(([name, value, note, id]) =>
      el('div', {}, el('dt', { text: name }), el('dd', {}, el('strong', { text: value }), el('span', { class: 'small muted', text: note, id }))),
    ),
  );
}

let resting;

/** The full network's answer to the same image, and the neighbours of both, once the slider rests. */
function lookAround(answer, image, model) {
  clearTimeout(resting);
  resting = setTimeout(async () => {
    const current = () => state.answer === answer && state.image === image && state.model?.id === model.id;
    try {
      image.full ??= embed(image.blob, { model: model.id });
      const full = await image.full;
      if (!current()) return;
      if (performance.now() - refreshed > RELOAD_MS) void refreshModel();
      const own = byId('own-fidelity');
      if (own) own.textContent = `${fidelity(Math.min(1, cosine(answer.vector, full.vector)))} for this image`;
      const note = byId('neighbours-note');
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
      if (current()) byId('neighbours-note').textContent = sentence(error);
    }
  }, REST_MS);
}

function showLadder() {
  if (state.model) ladder.show(state.model, state.answer?.level, state.measured);
}

// The key

function openKey() {
  byId('key').value = apiKey();
  byId('key-dialog').showModal();
  byId('key').focus();
}

function useKey(value) {
  setApiKey(value);
  byId('key-dialog').close();
  showKey();
  void start();
}

function showKey() {
  byId('key-open').textContent = apiKey() ? 'API key set' : 'API key';
}

function watchKey() {
  showKey();
  byId('key-open').addEventListener('click', openKey);
  byId('key-form').addEventListener('submit', (event) => {
    event.preventDefault();
    useKey(byId('key').value);
  });
  byId('key-forget').addEventListener('click', () => useKey(''));
  byId('key-cancel').addEventListener('click', () => byId('key-dialog').close());
}

// The views

const VIEWS = { try: 'As much of the network as the budget allows', ladder: 'The ladder', load: 'Live load' };

function showView(moved) {
  const wanted = location.hash.slice(1);
  const name = wanted in VIEWS ? wanted : 'try';
  for (const view of Object.keys(VIEWS)) byId(`view-${view}`).hidden = view !== name;
  for (const link of document.querySelectorAll('.views a')) {
    if (link.getAttribute('href') === `#${name}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = name === 'try' ? 'Concertina' : `${VIEWS[name]} · Concertina`;
  if (name === 'load') load.open();
  else load.close();
  if (name === 'ladder') void refreshModel();
  if (moved) {
    scrollTo(0, 0);
    byId(`${name}-title`).focus({ preventScroll: true });
  }
}

watchImages();
watchBudget();
watchKey();
byId('model').addEventListener('change', ({ target }) => {
  chooseModel(target.value);
  void ask();
});
addEventListener('hashchange', () => showView(true));
showView(false);
void start();
