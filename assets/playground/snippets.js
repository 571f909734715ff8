/** The request in three languages, as one would write it; the key comes from the environment. */
import { apiKey, BASE } from './api.js';
import { el } from './dom.js';

const LANGUAGES = [
  ['curl', 'curl', curl],
  ['typescript', 'TypeScript', typescript],
  ['python', 'Python', python],
];
const host = () => BASE.href.replace(/\/$/, '');

function curl({ type, file, model, header }) {
  return [
    `curl -i --data-binary @${file} -H 'Content-Type: ${type}' \\`,
    ...(apiKey() ? [`  -H "Authorization: Bearer $CONCERTINA_KEY" \\`] : []),
    `  -H 'Compute-Budget: ${header}' \\`,
    `  '${host()}/v1/embed?model=${encodeURIComponent(model)}'`,
  ].join('\n');
}

function typescript({ file, model, budget }) {
  const options = Object.entries({ model: `'${model}'`, ...budget }).map(([name, value]) => `${name}: ${value}`);
  const key = apiKey() ? ', apiKey: process.env.CONCERTINA_KEY' : '';
  return [
    `import { readFile } from 'node:fs/promises';`,
    `import { ConcertinaClient } from 'concertina/client';`,
    '',
    `const client = new ConcertinaClient({ baseUrl: '${host()}'${key} });`,
    `const image = await readFile('${file}');`,
    `const { embedding, level, fidelity } = await client.embed(image, { ${options.join(', ')} });`,
  ].join('\n');
}

function python({ type, file, model, header }) {
  return [
    ...(apiKey() ? ['import os'] : []),
    'import requests',
    '',
    'answer = requests.post(',
    `    "${host()}/v1/embed",`,
    `    params={"model": "${model}"},`,
    `    data=open("${file}", "rb").read(),`,
    '    headers={',
    `        "Content-Type": "${type}",`,
    `        "Compute-Budget": "${header}",`,
    ...(apiKey() ? ['        "Authorization": "Bearer " + os.environ["CONCERTINA_KEY"],'] : []),
    '    },',
    ')',
    'answer.raise_for_status()',
    'embedding = answer.json()["embedding"]',
    'print(answer.headers["Compute-Applied"])',
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
