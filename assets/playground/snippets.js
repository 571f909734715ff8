/** The request in three languages, as one would write it; the key comes from the environment. */
import { apiKey, BASE } from './api.js';
import { el } from './dom.js';

const LANGUAGES = [
  ['curl', 'curl', curl],
  ['typescript', 'TypeScript', typescript],
  ['python', 'Python', python],
];
const host = () => BASE.href.replace(/\/$/, '');
const address = ({ model }) => `${host()}/v1/embed?model=${encodeURIComponent(model)}`;

/** A sample comes from this gateway, so that what is copied runs anywhere; a file of one's own from the disk. */
const sampleAddress = ({ sample }) => sample && `${host()}/samples/${sample}`;

function curl(request) {
  const { type, file, header } = request;
  const from = sampleAddress(request);
  return [
    ...(from ? [`curl -s '${from}' |`] : []),
    `curl -i --data-binary ${from ? '@-' : `'@${file}'`} -H 'Content-Type: ${type}' \\`,
    ...(apiKey() ? [`  -H "Authorization: Bearer $CONCERTINA_KEY" \\`] : []),
    `  -H 'Compute-Budget: ${header}' \\`,
    `  '${address(request)}'`,
  ].join('\n');
}

function typescript(request) {
  const { file, model, budget } = request;
  const options = Object.entries({ model: JSON.stringify(model), ...budget }).map(([name, value]) => `${name}: ${value}`);
  const key = apiKey() ? ', apiKey: process.env.CONCERTINA_KEY' : '';
  const from = sampleAddress(request);
  return [
    ...(from ? [] : [`import { readFile } from 'node:fs/promises';`]),
    `import { ConcertinaClient } from 'concertina/client';`,
    '',
    `const client = new ConcertinaClient({ baseUrl: '${host()}'${key} });`,
    from ? `const image = await (await fetch('${from}')).blob();` : `const image = await readFile(${JSON.stringify(file)});`,
    `const { embedding, level, fidelity } = await client.embed(image, { ${options.join(', ')} });`,
    'console.log(embedding.length, level, fidelity);',
  ].join('\n');
}

function python(request) {
  const { type, file, header } = request;
  const from = sampleAddress(request);
  return [
    'import json',
    ...(apiKey() ? ['import os'] : []),
    'from urllib.request import Request, urlopen',
    '',
    from ? `image = urlopen("${from}").read()` : `image = open(${JSON.stringify(file)}, "rb").read()`,
    'headers = {',
    `    "Content-Type": "${type}",`,
    `    "Compute-Budget": "${header}",`,
    ...(apiKey() ? ['    "Authorization": "Bearer " + os.environ["CONCERTINA_KEY"],'] : []),
    '}',
    `with urlopen(Request("${address(request)}", image, headers)) as answer:`,
    '    print(answer.headers["Compute-Applied"])',
    '    embedding = json.load(answer)["embedding"]',
  ].join('\n');
}

/** Tabs of the languages with a copy button each; `show(request)` fills them in. */
export function snippets(tablist, into) {
  const panels = LANGUAGES.map(([id, label, write], index) => {
    const code = el('code');
    const copied = el('button', { type: 'button', class: 'quiet copy', text: 'Copy' });
    copied.addEventListener('click', async () => {
      copied.textContent = await copy(code);
      setTimeout(() => {
        copied.textContent = 'Copy';
      }, 1500);
    });
    copied.setAttribute('aria-label', `Copy the ${label} request`);
    const tab = el('button', {
      type: 'button', role: 'tab', id: `tab-${id}`, 'aria-controls': `panel-${id}`, text: label,
    });
    const panel = el('div', { role: 'tabpanel', id: `panel-${id}`, 'aria-labelledby': `tab-${id}`, class: 'snippet' },
      el('pre', { tabindex: '0', role: 'group', 'aria-label': `${label} request` }, code), copied);
    tab.addEventListener('click', () => choose(index));
    return { tab, panel, code, write };
  });

  function choose(chosen) {
    panels.forEach(({ tab, panel }, index) => {
      tab.setAttribute('aria-selected', String(index === chosen));
      tab.tabIndex = index === chosen ? 0 : -1;
      panel.hidden = index !== chosen;
    });
  }
  tablist.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const now = panels.findIndex(({ tab }) => tab === document.activeElement);
    const next = (now + step + panels.length) % panels.length;
    choose(next);
    panels[next].tab.focus();
    event.preventDefault();
  });
  tablist.replaceChildren(...panels.map(({ tab }) => tab));
  into.replaceChildren(...panels.map(({ panel }) => panel));
  choose(0);
  return {
    show(request) {
      for (const { code, write } of panels) code.textContent = write(request);
    },
  };
}

/** Copies, or selects the text where the clipboard is closed to pages (plain http). */
async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return 'Copied';
  } catch {
    getSelection()?.selectAllChildren(code);
    return 'Selected';
  }
}
