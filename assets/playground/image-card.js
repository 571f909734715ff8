/** The image: a sample, a chosen, dropped or pasted file. */
import { sample, sampleUrl } from './api.js';
import { byId, el } from './dom.js';

/**
 * @param {(image: { blob: Blob, file: string, sample?: string }) => Promise<void>} onImage
 * @param {(error: unknown) => void} onProblem
 */
export function imageCard(onImage, onProblem) {
  const stage = byId('stage');
  const preview = byId('preview');
  const radios = () => byId('samples').querySelectorAll('input');

  async function choose(image, alt) {
    if (preview.src.startsWith('blob:')) URL.revokeObjectURL(preview.src);
    stage.classList.remove('blank');
    preview.src = URL.createObjectURL(image.blob);
    preview.alt = alt;
    await onImage(image);
  }

  async function chooseSample({ file, title }) {
    try {
      const blob = await sample(file);
      for (const radio of radios()) radio.checked = radio.value === file;
      await choose({ blob, file, sample: file }, title);
    } catch (error) {
      onProblem(error);
    }
  }

  async function chooseFile(file) {
    if (!file) return;
    for (const radio of radios()) radio.checked = false;
    await choose({ blob: file, file: file.name || 'image' }, file.name || 'The image from the clipboard');
  }

  preview.addEventListener('error', () => stage.classList.add('blank'));
  byId('file').addEventListener('change', ({ target }) => {
    const [file] = target.files;
    void chooseFile(file);
    target.value = '';
  });
  document.addEventListener('paste', (event) => void chooseFile(event.clipboardData?.files[0]));
  watchDrops((file) => void chooseFile(file));
  return {
    chooseSample,
    showSamples(samples) {
      byId('samples').replaceChildren(
        ...samples.map((entry) => {
          const radio = el('input', { type: 'radio', name: 'sample', value: entry.file, class: 'hidden' });
          radio.addEventListener('change', () => void chooseSample(entry));
          const picture = el('img', { src: sampleUrl(entry.file), alt: entry.title, width: 48, height: 48 });
          return el('label', { title: entry.title }, radio, picture);
        }),
      );
    },
  };
}

/** Anywhere on the page: a file that misses the frame would otherwise replace the page. */
function watchDrops(onFile) {
  const stage = byId('stage');
  // Entering a child comes before leaving its parent, so that they have to be counted.
  let depth = 0;
  const move = (step) => (event) => {
    event.preventDefault();
    depth = Math.max(0, depth + step);
    stage.classList.toggle('over', depth > 0);
  };
  document.addEventListener('dragenter', move(1));
  document.addEventListener('dragleave', move(-1));
  document.addEventListener('dragover', (event) => event.preventDefault());
  document.addEventListener('drop', (event) => {
    depth = 0;
    move(0)(event);
    onFile(event.dataTransfer?.files[0]);
  });
}
