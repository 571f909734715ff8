import type { Context } from 'hono';
import type { Budget } from '../budget/index.ts';
import type { ServedModel } from '../serving/index.ts';
import type { GatewayEnvironment } from './environment.ts';

/** A request that may be answered elsewhere, as far as it is known. */
export interface Seen {
  readonly tier: string;
  /** When its first byte was seen, on the clock, ms. */
  readonly firstByte: number;
  /** Bytes of the body, as its head declares them. */
  readonly declared: number;
  /** Absent before the body has been read. */
  readonly read?: SeenBody;
}

export interface SeenBody {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly bodyComplete: number;
  readonly model: ServedModel;
  readonly budget: Budget;
  /** Encoded pictures; those that cannot be had are left out. */
  readonly pictures: readonly Uint8Array[];
}

/** Who else answers requests, and which. Asked twice: before the body is read, and when all is known but nothing done. */
export interface Elsewhere {
  /** `here`, or the reason to send the request on. Looks only; changes nothing. */
  where(seen: Seen): string;
  /**
   * @returns the other's answer; `undefined` if there is none and less can be given here
   * @throws Problem('origin-unavailable'), ('deadline-exceeded')
   */
  send(request: Request, seen: Seen, reason: string, requestId: string): Promise<Response | undefined>;
}

/** Sends a request on, if that is where it belongs. @returns the answer; `undefined` for what is answered here */
export async function answeredElsewhere(
  elsewhere: Elsewhere,
  c: Context<GatewayEnvironment>,
  seen: Seen,
): Promise<Response | undefined> {
  const reason = elsewhere.where(seen);
  if (reason === 'here') return undefined;
  const answer = await elsewhere.send(c.req.raw, seen, reason, c.get('requestId'));
  if (!answer) return undefined;
  const notes = c.get('notes');
  notes.forwarded = reason;
  notes.forwardedCode = await codeOf(answer);
  return answer;
}

/** The code of a problem that somebody else has answered with. */
async function codeOf(answer: Response): Promise<string | undefined> {
  if (!answer.headers.get('Content-Type')?.startsWith('application/problem+json')) return undefined;
  const body: unknown = await answer
    .clone()
    .json()
    .catch(() => undefined);
  return typeof body === 'object' && body && 'code' in body ? String(body.code) : undefined;
}
