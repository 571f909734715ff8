import { Problem } from '../../../problem/index.ts';

/**
 * A value of the pickle. Globals and what "calling" them gives stay data: nothing is imported or executed, the reader only
 * writes down what was asked for, and only for the globals it is told to expect.
 */
export type PickleValue =
  | null
  | boolean
  | number
  | string
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | PickleTuple
  | PickleGlobal
  | PickleCall
  | PicklePersistent;

export interface PickleTuple {
  readonly kind: 'tuple';
  readonly items: readonly PickleValue[];
}
export interface PickleGlobal {
  readonly kind: 'global';
  /** `torch._utils._rebuild_tensor_v2` */
  readonly name: string;
}
export interface PickleCall {
  readonly kind: 'call';
  readonly callable: string;
  readonly items: readonly PickleValue[];
}
export interface PicklePersistent {
  readonly kind: 'persistent';
  readonly id: PickleValue;
}

const MARK: unique symbol = Symbol('mark');
type Stacked = PickleValue | typeof MARK;

/** Far beyond what the released files need, and small enough to stop a bomb early. */
const MAX_BYTES = 1 << 20;
const PROTOCOL = 2;

/**
 * Reads a pickle of protocol 2 that is made of plain containers, numbers and strings, of references to the given globals,
 * and of calls of them. Every other opcode ends the reading.
 * @param globals full names that may be referred to
 * @throws Problem('invalid-scores') with the opcode and its offset
 */
export function readPickle(bytes: Uint8Array, globals: ReadonlySet<string>): PickleValue {
  if (bytes.length > MAX_BYTES)
    throw new Problem('invalid-scores', `The pickle is larger than ${MAX_BYTES} bytes.`);
  const machine = new Machine(bytes, globals);
  return machine.run();
}

/** The stack machine of the pickle format, reduced to the opcodes that PyTorch's files of scores consist of. */
class Machine {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #globals: ReadonlySet<string>;
  readonly #stack: Stacked[] = [];
  readonly #memo = new Map<number, PickleValue>();
  #at = 0;
  /** Offset of the opcode in work, for messages. */
  #start = 0;
  #opcode = 0;

  constructor(bytes: Uint8Array, globals: ReadonlySet<string>) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#globals = globals;
  }

  run(): PickleValue {
    for (;;) {
      this.#start = this.#at;
      this.#opcode = this.#byte();
      const code = String.fromCharCode(this.#opcode);
      if (code === '.') {
        const result = this.#pop();
        if (this.#stack.length > 0) throw this.#bad('leaves values behind');
        return result;
      }
      if (!this.#constant(code) && !this.#container(code) && !this.#reference(code)) {
        throw this.#bad('is not one that a file of scores consists of');
      }
    }
  }

  /** Opcodes that push a constant. */
  #constant(code: string): boolean {
    switch (code) {
      case '\x80':
        if (this.#byte() !== PROTOCOL || this.#start !== 0)
          throw this.#bad('asks for another protocol than 2');
        return true;
      case 'N':
        return this.#push(null);
      case '\x88':
      case '\x89':
        return this.#push(code === '\x88');
      case 'K':
        return this.#push(this.#byte());
      case 'M':
        return this.#push(this.#view.getUint16(this.#take(2), true));
      case 'J':
        return this.#push(this.#view.getInt32(this.#take(4), true));
      case 'G':
        return this.#push(this.#view.getFloat64(this.#take(8), false));
      case 'X':
        return this.#push(this.#text(this.#view.getUint32(this.#take(4), true)));
      default:
        return false;
    }
  }

  /** Opcodes that build lists, tuples and dictionaries. */
  #container(code: string): boolean {
    switch (code) {
      case '(':
        this.#stack.push(MARK);
        return true;
      case '}':
        return this.#push(new Map());
      case ']':
        return this.#push([]);
      case ')':
        return this.#push({ kind: 'tuple', items: [] });
      case '\x85':
      case '\x86':
      case '\x87':
        return this.#push({ kind: 'tuple', items: this.#popMany(this.#opcode - 0x84) });
      case 't':
        return this.#push({ kind: 'tuple', items: this.#popToMark() });
      case 'a':
        return this.#append([this.#pop()]);
      case 'e':
        return this.#append(this.#popToMark());
      case 's':
        return this.#setItems(this.#popMany(2));
      case 'u':
        return this.#setItems(this.#popToMark());
      default:
        return false;
    }
  }

  /** Opcodes that refer: to the memo, to a global, to a storage beside the pickle. */
  #reference(code: string): boolean {
    switch (code) {
      case 'q':
        return this.#remember(this.#byte());
      case 'r':
        return this.#remember(this.#view.getUint32(this.#take(4), true));
      case 'h':
        return this.#recall(this.#byte());
      case 'j':
        return this.#recall(this.#view.getUint32(this.#take(4), true));
      case 'c':
        return this.#global(`${this.#line()}.${this.#line()}`);
      case 'R':
        return this.#call();
      case 'Q':
        return this.#push({ kind: 'persistent', id: this.#pop() });
      default:
        return false;
    }
  }

  #global(name: string): boolean {
    if (!this.#globals.has(name)) throw this.#bad(`refers to ${name}, which a file of scores never does`);
    return this.#push({ kind: 'global', name });
  }

  #call(): boolean {
    const [callable, argumentsTuple] = this.#popMany(2);
    if (!isKind(callable, 'global') || !isKind(argumentsTuple, 'tuple')) {
      throw this.#bad('calls something that is no global');
    }
    return this.#push({ kind: 'call', callable: callable.name, items: argumentsTuple.items });
  }

  #append(items: PickleValue[]): boolean {
    const list = this.#stack.at(-1);
    if (!Array.isArray(list)) throw this.#bad('appends to something that is no list');
    list.push(...items);
    return true;
  }

  #setItems(items: PickleValue[]): boolean {
    const dictionary = this.#stack.at(-1);
    if (!(dictionary instanceof Map) || items.length % 2 !== 0)
      throw this.#bad('sets items of no dictionary');
    for (let at = 0; at < items.length; at += 2) dictionary.set(items[at] ?? null, items[at + 1] ?? null);
    return true;
  }

  #remember(index: number): boolean {
    const top = this.#stack.at(-1);
    if (top === undefined || top === MARK) throw this.#bad('stores nothing');
    this.#memo.set(index, top);
    return true;
  }

  #recall(index: number): boolean {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.#bad(`reads the memo at ${index}, where nothing is`);
    return this.#push(value);
  }

  #push(value: PickleValue): boolean {
    this.#stack.push(value);
    return true;
  }

  #pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined || value === MARK) throw this.#bad('finds the stack empty');
    return value;
  }

  #popMany(count: number): PickleValue[] {
    return Array.from({ length: count }, () => this.#pop()).reverse();
  }

  #popToMark(): PickleValue[] {
    const mark = this.#stack.lastIndexOf(MARK);
    if (mark < 0) throw this.#bad('finds no mark');
    // Everything above the last mark is a value.
    const items = this.#stack.splice(mark).slice(1) as PickleValue[];
    return items;
  }

  #byte(): number {
    return this.#view.getUint8(this.#take(1));
  }

  /** Moves past `count` bytes and gives the offset of the first. */
  #take(count: number): number {
    const at = this.#at;
    if (at + count > this.#bytes.length) throw this.#bad('is cut short');
    this.#at += count;
    return at;
  }

  #text(length: number): string {
    const at = this.#take(length);
    return new TextDecoder().decode(this.#bytes.subarray(at, at + length));
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) throw this.#bad('is cut short');
    const text = this.#text(end - this.#at);
    this.#take(1);
    return text;
  }

  #bad(what: string): Problem {
    const opcode = `0x${this.#opcode.toString(16).padStart(2, '0')}`;
    return new Problem(
      'invalid-scores',
      `The scores file is refused: opcode ${opcode} at offset ${this.#start} of its pickle ${what}. Nothing was executed.`,
      { opcode, offset: this.#start },
    );
  }
}

/** Whether a value is of one of the tagged kinds. */
export function isKind<K extends 'tuple' | 'global' | 'call' | 'persistent'>(
  value: PickleValue | undefined,
  kind: K,
): value is Extract<PickleValue, { readonly kind: K }> {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind;
}
