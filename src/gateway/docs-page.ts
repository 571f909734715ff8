import { html, raw } from 'hono/html';
import { PROBLEMS } from '../problem/index.ts';
import type { OpenApiDocument } from './openapi.ts';
import type { Operation } from './operation.ts';

/** The reference for people, made from the OpenAPI document; no script, nothing from elsewhere. */
export function docsPage(document: OpenApiDocument) {
  const sections = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => section(path, method, operation)),
  );
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Concertina: HTTP reference</title>
<style>${raw(STYLE)}</style>
</head>
<body>
<main>
<h1>Concertina <small>${document.info.version}</small></h1>
<p>${document.info.summary} The same as <a href="openapi.json">OpenAPI 3.1</a>. <a href="./">Playground</a>.</p>
<pre><code>curl --data-binary @image.jpg -H 'Content-Type: image/jpeg' -H 'Compute-Budget: flops=0.7' HOST/v1/embed</code></pre>
${sections}
<h2>Problems</h2>
<p>Errors are <code>application/problem+json</code> with a stable <code>code</code>, and OpenAI's <code>error</code> object.</p>
<table><thead><tr><th>status</th><th>code</th><th>meaning</th></tr></thead><tbody>
${Object.entries(PROBLEMS).map(
  ([code, { status, title }]) =>
    html`<tr id="${code}"><td>${status}</td><td><code>${code}</code></td><td>${title}</td></tr>`,
)}
</tbody></table>
</main>
</body>
</html>`;
}

function section(path: string, method: string, { summary, parameters = [], responses }: Operation) {
  return html`<section>
<h2><code>${method.toUpperCase()} ${path}</code></h2>
<p>${summary}</p>
${parameters.length > 0 ? html`<dl>${parameters.map((parameter) => html`<dt><code>${parameter.name}</code> (${parameter.in})</dt><dd>${parameter.description ?? ''}</dd>`)}</dl>` : ''}
<table><tbody>${Object.entries(responses).map(([status, { description }]) => html`<tr><td>${status}</td><td>${description}</td></tr>`)}</tbody></table>
</section>`;
}

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 0.9em ui-monospace, monospace; }
pre { overflow-x: auto; padding: 0.8rem; border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: 6px; }
h2 { margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: 0.3rem 0.6rem 0.3rem 0; border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
dt { margin-top: 0.5rem; } dd { margin-left: 1.2rem; }
small { font-weight: normal; opacity: 0.7; }
`;
