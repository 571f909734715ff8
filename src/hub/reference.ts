import { fileURLToPath } from 'node:url';
import { Problem } from '../problem/index.ts';

/** A model on the hub. */
export interface HubReference {
  readonly kind: 'hub';
  /** `owner/name` */
  readonly id: string;
  /** Branch, tag or commit. */
  readonly revision: string;
}

/** Where a model's files are, by what was written on the command line. */
export type ModelReference =
  | HubReference
  | { readonly kind: 'store'; readonly url: string }
  | { readonly kind: 'folder'; readonly path: string };

const DEFAULT_REVISION = 'main';
/** What the hub allows in the names of owners and models. */
const NAME = String.raw`[A-Za-z0-9](?:[\w.-]{0,94}[\w])?`;
const ON_HUB = new RegExp(String.raw`^(?:hf:(${NAME}/${NAME})|(timm/${NAME}))(?:@([\w./-]{1,200}))?$`);
const PAGE = new RegExp(String.raw`^/(${NAME}/${NAME})(?:/tree/([\w./-]{1,200}?))?/?$`);

/**
 * Understands `hf:owner/name[@revision]`, `timm/name[@revision]`, the address of a model's page on the hub,
 * `s3://bucket/prefix`, `file:///path` and a folder.
 * @param endpoint the hub's address, for pages
 * @throws Problem('invalid-model-reference') with the forms that are understood
 */
export function parseReference(text: string, endpoint: string): ModelReference {
  const [, named, timm, revision = DEFAULT_REVISION] = ON_HUB.exec(text) ?? [];
  const id = named ?? timm;
  if (id !== undefined && !revision.split('/').includes('..')) return { kind: 'hub', id, revision };
  if (/^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === new URL(endpoint).origin) {
    const [, page, tree = DEFAULT_REVISION] = PAGE.exec(new URL(text).pathname) ?? [];
    if (page !== undefined) return { kind: 'hub', id: page, revision: tree };
  }
  if (text.startsWith('s3://')) return { kind: 'store', url: text };
  if (text.startsWith('file:') && URL.canParse(text)) return { kind: 'folder', path: fileURLToPath(text) };
  // One letter before the colon is a drive.
  if (text === '' || /^[a-z][a-z0-9+.-]+:/i.test(text)) throw notUnderstood(text);
  return { kind: 'folder', path: text };
}

export function notUnderstood(text: string): Problem {
  const hint = /^[\w.-]+\/[\w.-]+$/.test(text)
    ? `There is no folder "${text}". If it is a model of the hub, write hf:${text}.`
    : `"${text}" is no model. Use a folder, hf:owner/name, hf:owner/name@revision, timm/name or s3://bucket/prefix.`;
  return new Problem('invalid-model-reference', hint, { model: text });
}
