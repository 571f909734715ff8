/**
 * Work between invocations on Lambda, where a process is frozen as soon as nobody is waited for: the runtime's answer leaves
 * at once, and the environment is frozen when every registered extension has asked for its next event (Lambda Extensions API,
 * internal extensions). The environment takes no other request meanwhile, so the work is to be short.
 */
import { request } from 'node:http';

const API = '/2020-01-01/extension';

/** After an event could not be asked for: how often, and how long apart, it is tried again, ms. */
const [TRIES, WAIT_MS] = [5, 200];

/**
 * Registers this process as an internal extension. To be called while the function starts; from then on Lambda waits for the
 * loop that `begin` starts.
 * @returns what starts the loop: `work` is done after each invocation. `undefined` where there is no Extensions API; why is noted
 */
export async function afterInvocations(
  runtimeApi: string | undefined,
  note: (message: string) => void,
): Promise<((work: () => Promise<void>) => void) | undefined> {
  if (!runtimeApi) return undefined;
  try {
    const headers = { 'Lambda-Extension-Name': 'concertina', 'Content-Type': 'application/json' };
    const body = JSON.stringify({ events: ['INVOKE'] });
    const { 'lambda-extension-identifier': id } = await ask(
      `http://${runtimeApi}${API}/register`,
      headers,
      body,
    );
    if (typeof id !== 'string') throw new Error('It gave no identifier.');
    return (work) => void loop(`http://${runtimeApi}${API}/event/next`, id, work, note);
  } catch (error) {
    note(`Nothing is done between invocations: the Extensions API does not register. ${textOf(error)}`);
    return undefined;
  }
}

async function loop(url: string, id: string, work: () => Promise<void>, note: (message: string) => void) {
  for (let failures = 0; failures < TRIES; ) {
    try {
      // Answered when the next invocation begins, however long the freeze before it.
      await ask(url, { 'Lambda-Extension-Identifier': id });
      failures = 0;
    } catch (error) {
      failures++;
      note(`The next invocation could not be asked for. ${textOf(error)}`);
      await new Promise((done) => setTimeout(done, WAIT_MS));
      continue;
    }
    await work().catch((error: unknown) => note(`Work between invocations failed. ${textOf(error)}`));
  }
  // Lambda would wait for this extension in vain: another environment takes the place of this one.
  process.exit(1);
}

/** One request without a time limit: `fetch` has one, which a long freeze would exceed. @returns headers of a 2xx answer */
function ask(url: string, headers: Record<string, string>, body?: string) {
  return new Promise<Record<string, unknown>>((done, fail) => {
    const asked = request(
      url,
      { method: body === undefined ? 'GET' : 'POST', headers, agent: false },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (chunk) => {
          text += chunk;
        });
        answer.once('error', fail);
        answer.once('end', () => {
          const { statusCode = 0 } = answer;
          if (statusCode >= 200 && statusCode < 300) done(answer.headers);
          else fail(new Error(`${statusCode} ${text.slice(0, 200)}`));
        });
      },
    );
    asked.once('error', fail);
    asked.end(body);
  });
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
