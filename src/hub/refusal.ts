import { Problem } from '../problem/index.ts';
import type { Answer } from './http.ts';
import type { HubReference } from './reference.ts';
import { Transient } from './retry.ts';
import type { HubSettings } from './settings.ts';

/**
 * What an answer that is no success means. The hub answers 401 for a model that is not there, so as not to tell which
 * private ones are; its `x-error-code` says more.
 * @returns a Problem, or a {@link Transient} failure
 */
export function refusal(
  answer: Pick<Answer, 'status' | 'headers'>,
  { id, revision }: HubReference,
  { endpoint, token }: HubSettings,
  file?: string,
): Problem | Transient {
  const { status, headers } = answer;
  const code = headers['x-error-code'];
  const details = { model: id, revision, status, ...(file ? { file } : {}) };
  const page = `${endpoint}/${id}`;
  if (status === 429 || status === 408 || status >= 500) {
    const seconds = Number(headers['retry-after']);
    return new Transient(`status ${status}`, Number.isFinite(seconds) ? seconds * 1000 : undefined);
  }
  if (code === 'GatedRepo') {
    return new Problem(
      'hub-denied',
      `The model ${id} is gated: accept its terms at ${page}, then set HF_TOKEN to a token that may read it${token ? ' (the present one may not)' : ''}.`,
      details,
    );
  }
  if (code === 'RevisionNotFound') {
    return new Problem(
      'unknown-model',
      `The model ${id} has no revision "${revision}"; see ${page}.`,
      details,
    );
  }
  if (code === 'EntryNotFound') {
    return new Problem('unknown-model', `The model ${id} has no file "${file}" at "${revision}".`, details);
  }
  if (status === 401 && token !== undefined && code !== 'RepoNotFound') {
    return new Problem(
      'hub-denied',
      `${endpoint} does not accept the token in HF_TOKEN. Make a new one.`,
      details,
    );
  }
  if (status === 401 || status === 404) {
    const way = token ? 'or this token may not see it' : 'or it is private: then set HF_TOKEN';
    return new Problem('unknown-model', `There is no model ${id} on ${endpoint}, ${way}.`, details);
  }
  if (status === 403) {
    return new Problem(
      'hub-denied',
      `${endpoint} refuses access to ${id}. Set HF_TOKEN to a token that may read it.`,
      details,
    );
  }
  return new Problem('hub-unavailable', `${endpoint} answered ${status} for ${id}.`, details);
}
