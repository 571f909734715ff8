/** The budget: in terms of what, and how much of it. */
import { KINDS } from './budget.js';
import { byId, el, style } from './dom.js';

/** Numbers of ticks that are closer than this share of the slider would touch. */
const NEAR = 0.045;

/** @param {() => void} onChange the budget is another */
export function budgetCard(onChange) {
  const slider = byId('slider');
  let model;
  let kind = 'flops';
  /** Value of each kind of budget, once it has one. */
  let values = {};
  /** The level that ran last, and what decoding takes, ms. */
  let ran;
  let decodeMs = 3;

  function show() {
    if (!model) return;
    const { label, note, start, read, write } = KINDS[kind];
    values[kind] ??= read(write(start(model, decodeMs), model), model);
    slider.disabled = false;
    slider.value = String(Math.round(1000 * write(values[kind], model)));
    slider.setAttribute('aria-label', label);
    byId('budget-note').textContent = note;
    for (const radio of byId('kinds').querySelectorAll('input')) radio.checked = radio.value === kind;
    showValue();
    showTicks();
  }

  function showValue() {
    const value = KINDS[kind].show(values[kind]);
    const unit = KINDS[kind].unit(model);
    style(slider, { '--at': String(Number(slider.value) / 1000) });
    byId('budget-value').textContent = value;
    byId('budget-unit').textContent = unit;
    slider.setAttribute('aria-valuetext', `${value} ${unit}`);
  }

  function showTicks() {
    const { tick, write } = KINDS[kind];
    let last = -1;
    const marks = model.ladder
      .map((level) => ({ level: level.level, at: write(tick(level, decodeMs), model) }))
      .filter(({ at }) => Number.isFinite(at))
      .sort((a, b) => a.at - b.at)
      .map(({ level, at }) => {
        const mark = el('span', { class: level === ran ? 'current' : undefined });
        style(mark, { '--at': String(at) });
        if (at - last > NEAR || level === ran) {
          mark.textContent = String(level);
          last = at;
        }
        return mark;
      });
    byId('ticks').replaceChildren(...marks);
  }

  byId('kinds').addEventListener('change', ({ target }) => {
    kind = target.value;
    show();
    onChange();
  });
  slider.addEventListener('input', () => {
    if (!model) return;
    values[kind] = KINDS[kind].read(Number(slider.value) / 1000, model);
    showValue();
    onChange();
  });
  return {
    current: () => ({ kind, value: values[kind] }),
    setModel(other) {
      model = other;
      values = {};
      ran = undefined;
      show();
    },
    /** The same model, read again: its predictions follow what the machine does. */
    refresh(same) {
      model = same;
      showTicks();
    },
    /** Just enough FLOPs for a level. */
    choose(level) {
      kind = 'flops';
      values.flops = Math.ceil(level.flops * 100) / 100;
      show();
      onChange();
    },
    answered({ level, timing }) {
      ran = level;
      decodeMs = 0.7 * decodeMs + 0.3 * (timing.decode ?? 0);
      showTicks();
    },
  };
}
