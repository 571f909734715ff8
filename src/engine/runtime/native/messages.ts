import type { EncodedModel } from '../../../network/index.ts';
import type { Command, Outputs } from '../../commands.ts';

/** What an engine thread is sent, and what it answers. Graphs are encoded before they are sent. */
export interface Request {
  readonly id: number;
  readonly command: Command<EncodedModel>;
}

export type Reply =
  | { readonly id: number; readonly outputs: Outputs | null }
  | { readonly id: number; readonly error: string };
