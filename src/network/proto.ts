import { Writer } from 'protobufjs/minimal.js';

/** Element types of ONNX tensors (`TensorProto.DataType`). */
export const ELEMENT = { float: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9 } as const;
export type ElementType = keyof typeof ELEMENT;

/** A dimension: fixed, or named and decided at run time. */
export type Dimension = number | string;

export interface ValueInfo {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly Dimension[];
}

export interface Initializer {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly number[];
  /** Little-endian elements. Kept by reference until the model is encoded. */
  readonly data: Uint8Array;
}

/** A float attribute; plain numbers are integers. */
export interface FloatAttribute {
  readonly float: number;
}
export type Attribute = number | string | readonly number[] | FloatAttribute;

export interface OnnxNode {
  readonly operator: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly Initializer[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

/** Elements of initialisers that live beside the model: ONNX Runtime's `externalData`. */
export interface ExternalData {
  readonly path: string;
  readonly data: Uint8Array;
}

export interface EncodedModel {
  readonly model: Uint8Array<ArrayBuffer>;
  readonly externalData: readonly ExternalData[];
}

/** Protobuf messages end at 2 GiB; beyond this many bytes of weights the large initialisers are kept outside. */
const MAX_INLINE_BYTES = 1_900_000_000;
/** Initialisers below this size stay in the model: shape inference reads the small ones. */
const MIN_EXTERNAL_BYTES = 4096;

const IR_VERSION = 10;
const DATA_LOCATION_EXTERNAL = 1;
const ATTRIBUTE = { float: 1, int: 2, string: 3, ints: 7 } as const;

/**
 * Encodes a graph as an ONNX `ModelProto` (onnx.proto, IR version 10). Large initialisers are copied once, into the result.
 * @param opset version of the default operator set
 */
export function encodeModel(
  graph: OnnxGraph,
  opset: number,
  options: { readonly maxInlineBytes?: number } = {},
): EncodedModel {
  const externalData: ExternalData[] = [];
  const weights = graph.initializers.reduce((sum, { data }) => sum + data.byteLength, 0);
  const keepOutside = weights > (options.maxInlineBytes ?? MAX_INLINE_BYTES);
  const model = new Message()
    .int(1, IR_VERSION)
    .text(2, 'concertina')
    .message(7, encodeGraph(graph, keepOutside ? externalData : undefined));
  for (const [domain, version] of [
    ['', opset],
    ['com.microsoft', 1],
  ] as const) {
    model.message(8, new Message().text(1, domain).int(2, version));
  }
  return { model: model.finish(), externalData };
}

function encodeGraph(graph: OnnxGraph, external: ExternalData[] | undefined): Message {
  const message = new Message();
  for (const node of graph.nodes) message.message(1, encodeNode(node));
  message.text(2, 'graph');
  for (const initializer of graph.initializers) message.message(5, encodeTensor(initializer, external));
  for (const input of graph.inputs) message.message(11, encodeValueInfo(input));
  for (const output of graph.outputs) message.message(12, encodeValueInfo(output));
  return message;
}

function encodeNode(node: OnnxNode): Message {
  const message = new Message();
  for (const input of node.inputs) message.text(1, input);
  for (const output of node.outputs) message.text(2, output);
  message.text(4, node.operator);
  for (const [name, value] of Object.entries(node.attributes))
    message.message(5, encodeAttribute(name, value));
  return message.text(7, node.domain);
}

function encodeAttribute(name: string, value: Attribute): Message {
  const message = new Message().text(1, name);
  if (typeof value === 'number') return message.int(3, value).int(20, ATTRIBUTE.int);
  if (typeof value === 'string') return message.text(4, value).int(20, ATTRIBUTE.string);
  if ('float' in value) return message.float(2, value.float).int(20, ATTRIBUTE.float);
  for (const item of value) message.int(8, item);
  return message.int(20, ATTRIBUTE.ints);
}

function encodeTensor(tensor: Initializer, external: ExternalData[] | undefined): Message {
  const message = new Message();
  for (const dim of tensor.dims) message.int(1, dim);
  message.int(2, ELEMENT[tensor.type]).text(8, tensor.name);
  if (external === undefined || tensor.data.byteLength < MIN_EXTERNAL_BYTES)
    return message.bytes(9, tensor.data);
  external.push({ path: tensor.name, data: tensor.data });
  message.message(13, new Message().text(1, 'location').text(2, tensor.name));
  message.message(13, new Message().text(1, 'length').text(2, String(tensor.data.byteLength)));
  return message.int(14, DATA_LOCATION_EXTERNAL);
}

function encodeValueInfo({ name, type, dims }: ValueInfo): Message {
  const shape = new Message();
  for (const dim of dims) {
    const dimension = new Message();
    shape.message(1, typeof dim === 'number' ? dimension.int(1, dim) : dimension.text(2, dim));
  }
  const tensor = new Message().int(1, ELEMENT[type]).message(2, shape);
  return new Message().text(1, name).message(2, new Message().message(1, tensor));
}

const WIRE = { varint: 0, bytes: 2, float: 5 } as const;
/** Byte strings from this size on are kept by reference until the end. */
const BY_REFERENCE = 1024;

/** One protobuf message as a list of pieces, so that lengths are known before anything large is copied. */
class Message {
  readonly #pieces: Uint8Array[] = [];
  #flushed = 0;
  #writer = Writer.create();
  #pending = false;

  int(field: number, value: number): this {
    this.#tag(field, WIRE.varint).int64(value);
    return this;
  }

  float(field: number, value: number): this {
    this.#tag(field, WIRE.float).float(value);
    return this;
  }

  text(field: number, value: string): this {
    this.#tag(field, WIRE.bytes).string(value);
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    return this.#delimited(field, value.byteLength, [value]);
  }

  message(field: number, value: Message): this {
    value.#flush();
    return this.#delimited(field, value.#flushed, value.#pieces);
  }

  finish(): Uint8Array<ArrayBuffer> {
    this.#flush();
    const all = new Uint8Array(this.#flushed);
    let at = 0;
    for (const piece of this.#pieces) {
      all.set(piece, at);
      at += piece.byteLength;
    }
    return all;
  }

  #delimited(field: number, length: number, pieces: readonly Uint8Array[]): this {
    const writer = this.#tag(field, WIRE.bytes);
    if (length < BY_REFERENCE) {
      writer.bytes(pieces.length === 1 && pieces[0] ? pieces[0] : concatenate(pieces, length));
      return this;
    }
    writer.uint32(length);
    this.#flush();
    for (const piece of pieces) this.#push(piece);
    return this;
  }

  #tag(field: number, wire: number): Writer {
    this.#pending = true;
    return this.#writer.uint32((field << 3) | wire);
  }

  #flush(): void {
    if (!this.#pending) return;
    this.#push(this.#writer.finish());
    this.#writer = Writer.create();
    this.#pending = false;
  }

  #push(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#flushed += piece.byteLength;
  }
}

function concatenate(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.byteLength;
  }
  return all;
}
