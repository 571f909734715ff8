import {
  breather,
  columnsAreOutputs,
  type HighPlane,
  type LevelWeights,
  type Precision,
} from '../checkpoint/index.ts';
import {
  codesInput,
  columnsInput,
  elementType,
  hiddenShift,
  type Initializer,
  isQuantised,
  keptUnits,
  product,
  type Quantisation,
  scalesInput,
  type UnitTensor,
} from '../network/index.ts';
import { keepsAll, type Variant, type VitConfig } from '../vit/index.ts';
import type { ArrayView, PlainTensor } from './commands.ts';
import { mergeInput, sharedDims, unitDims } from './graph-inputs.ts';
import { LadderRows } from './ladder-rows.ts';
import {
  addRowSums,
  type Codes,
  emptyRows,
  planeOf,
  putRows,
  type QuantisedRows,
  transposedCodes,
} from './quantised-rows.ts';
import { type NumberArray, shared, sharedFloats } from './shared-arrays.ts';

type Arrays = ReadonlyMap<string, NumberArray>;

/**
 * The weights of a ladder as its graphs read them, in memory that all engine workers share: one growing array per tensor
 * and precision with a view of it for each level, and beside them what belongs to one level alone.
 */
export class LevelArrays extends LadderRows {
  readonly #precisions: readonly Precision[];
  readonly #quantisation: Quantisation;
  readonly #common = new Map<string, NumberArray>();
  readonly #quantised = new Map<string, QuantisedRows>();
  /** Transposed codes of matrices whose rows are outputs, without corrections, by level and tensor. */
  readonly #outputs = new Map<string, Codes>();
  /** Sums of the rows of `fc2` that a level keeps, `[D]`, by level and tensor. */
  readonly #sums = new Map<string, Float64Array>();
  readonly #levels: Arrays[] = [];

  constructor(
    config: VitConfig,
    variants: readonly Variant[],
    precisions: readonly Precision[],
    quantisation: Quantisation,
  ) {
    super(config, variants);
    this.#precisions = precisions;
    this.#quantisation = quantisation;
    const full = variants.at(-1);
    for (const tensor of this.tensors.units) {
      const length = (full ? keptUnits(tensor, full) : 0) * tensor.rowLength;
      if (this.#inFloat(tensor.name)) this.#common.set(tensor.name, sharedFloats(length));
      if (!this.#inCodes(tensor.name)) continue;
      if (columnsAreOutputs(tensor.name)) {
        const rows = emptyRows(quantisation, length / config.width, config.width);
        this.#quantised.set(tensor.name, rows);
        this.#put(this.#common, tensor.name, rows);
      } else {
        this.#common.set(scalesInput(tensor.name), sharedFloats(length / config.width));
      }
    }
  }

  /** Arrays that all levels view. Rows that levels bring later are written into them. */
  get common(): Arrays {
    return this.#common;
  }

  /** Arrays of one level alone, by the names under which its inputs refer to them. */
  own(level: number): Arrays {
    return this.#levels[level] ?? new Map();
  }

  /** Takes the rows of the next level behind those of the levels before it. */
  async add(increment: LevelWeights): Promise<void> {
    const { level } = increment;
    const { width } = this.config;
    const own = new Map<string, NumberArray>();
    const breathe = breather();
    for (const tensor of this.tensors.units) {
      const { name, rowLength } = tensor;
      const given = increment.increments.get(name);
      const at = this.rows(tensor, level).first * rowLength;
      if (given && this.#inFloat(name)) this.#common.get(name)?.set(given.data, at);
      const plane = given && this.#inCodes(name) ? planeOf(name, given) : undefined;
      const rows = this.#quantised.get(name);
      if (rows && plane) putRows(plane, rows, at / width);
      else if (!rows && this.#inCodes(name)) this.#putOutputs(own, level, name, at / width, plane);
      await breathe(given ? product(given.shape) : 0);
    }
    for (const [name, { data }] of increment.shared) {
      if (this.tensors.shared.has(name)) this.#common.set(name, shared(data));
    }
    await this.#putCorrections(own, increment);
    this.#levels[level] = own;
  }

  /** The graph inputs of a level. */
  inputs(
    level: number,
    precision: Precision,
  ): { views: Record<string, ArrayView>; tensors: Record<string, PlainTensor> } {
    const variant = this.variant(level);
    const own = this.own(level);
    const views: Record<string, ArrayView> = {};
    const view = (input: string, array: string, dims: number[]) => {
      const alone = ownName(level, array);
      views[input] = { array: own.has(alone) ? alone : array, dims };
    };
    for (const tensor of this.tensors.units) {
      const { name } = tensor;
      const dims = unitDims(this.config, tensor, keptUnits(tensor, variant));
      if (precision === 'int8' && this.#inCodes(name)) {
        view(codesInput(name), codesInput(name), columnsAreOutputs(name) ? dims : dims.toReversed());
        view(scalesInput(name), scalesInput(name), dims.slice(0, 1));
        if (columnsAreOutputs(name)) view(columnsInput(name), columnsInput(name), dims.slice(1));
      } else {
        view(name, name, dims);
      }
    }
    for (const [name, shape] of this.tensors.shared) {
      const shifted = precision === 'int8' && own.has(ownName(level, shiftedBias(name)));
      view(name, shifted ? shiftedBias(name) : name, sharedDims(name, shape));
    }
    return { views, tensors: { merge: mergeInput(this.config, variant) } };
  }

  /** The weights among the graph inputs of a level, for a session that holds them itself. */
  initializers(level: number, precision: Precision): Initializer[] {
    const own = this.own(level);
    return Object.entries(this.inputs(level, precision).views).map(([name, { array, dims }]) => {
      const all = own.get(array) ?? this.#common.get(array) ?? new Float32Array();
      const { buffer, byteOffset, byteLength } = all.subarray(0, product(dims));
      return { name, type: elementType(all), dims, data: new Uint8Array(buffer, byteOffset, byteLength) };
    });
  }

  /** Codes of a matrix whose rows are outputs: with the rows that the level adds, or those of the level before it. */
  #putOutputs(
    own: Map<string, NumberArray>,
    level: number,
    name: string,
    at: number,
    plane: HighPlane | undefined,
  ): void {
    const before = this.#outputs.get(ownName(level - 1, name));
    const nothing = new Int8Array();
    const codes =
      before && !plane
        ? before
        : transposedCodes(this.#quantisation, this.config.width, before ?? nothing, plane?.high ?? nothing);
    this.#outputs.set(ownName(level, name), codes);
    own.set(ownName(level, codesInput(name)), codes);
    const scales = this.#common.get(scalesInput(name));
    if (plane) scales?.set(plane.scale, at);
  }

  async #putCorrections(own: Map<string, NumberArray>, { level, corrections }: LevelWeights): Promise<void> {
    const codes = new Map<string, QuantisedRows>();
    const { width } = this.config;
    const breathe = breather();
    for (const [name, tensor] of corrections) {
      const elements = product(tensor.shape);
      if (this.#inFloat(name)) own.set(ownName(level, name), shared(tensor.data));
      // The full network is not corrected: what it has of its own are the same weights with more digits.
      if (this.#inCodes(name) && !this.#isFull(level)) {
        const plane = planeOf(name, tensor);
        if (columnsAreOutputs(name)) {
          const rows = emptyRows(this.#quantisation, elements / width, width);
          putRows(plane, rows);
          codes.set(name, rows);
          this.#put(own, ownName(level, name), rows);
        } else {
          const transposed = transposedCodes(this.#quantisation, width, new Int8Array(), plane.high);
          own.set(ownName(level, codesInput(name)), transposed);
          own.set(ownName(level, scalesInput(name)), shared(plane.scale));
        }
      }
      await breathe(elements);
    }
    this.#shiftBiases(level, own, codes);
  }

  /** What `fc2` reads is shifted in eight bits; its bias has the product of the shift with its weights taken off. */
  #shiftBiases(level: number, own: Map<string, NumberArray>, corrected: ReadonlyMap<string, QuantisedRows>) {
    const shift = hiddenShift(this.config);
    if (shift === 0 || !this.#precisions.includes('int8')) return;
    for (const tensor of this.tensors.units) {
      if (!tensor.name.endsWith('.mlp.fc2.weight') || !this.#inCodes(tensor.name)) continue;
      const bias = tensor.name.replace(/weight$/, 'bias');
      const sums = this.#rowSums(tensor, level, corrected.get(tensor.name));
      const given = own.get(ownName(level, bias)) ?? this.#common.get(bias) ?? new Float32Array();
      const moved = Float32Array.from(given, (value, i) => value - shift * (sums[i] ?? 0));
      own.set(ownName(level, shiftedBias(bias)), shared(moved));
    }
  }

  #rowSums(tensor: UnitTensor, level: number, corrected: QuantisedRows | undefined): Float64Array {
    const { width } = this.config;
    const before = this.#sums.get(ownName(level - 1, tensor.name));
    const sums = before ? before.slice() : new Float64Array(width);
    const perUnit = tensor.rowLength / width;
    const { first, rows } = this.rows(tensor, level);
    const common = this.#quantised.get(tensor.name);
    if (common) addRowSums(common, first * perUnit, (first + rows) * perUnit, sums);
    this.#sums.set(ownName(level, tensor.name), sums);
    if (!corrected) return sums;
    const own = new Float64Array(width);
    addRowSums(corrected, 0, corrected.scales.length, own);
    return own;
  }

  #put(into: Map<string, NumberArray>, name: string, { codes, scales, columns }: QuantisedRows): void {
    into.set(codesInput(name), codes);
    into.set(scalesInput(name), scales);
    into.set(columnsInput(name), columns);
  }

  #inCodes(name: string): boolean {
    return this.#precisions.includes('int8') && this.#isUnit(name) && isQuantised(this.#quantisation, name);
  }

  #inFloat(name: string): boolean {
    return this.#precisions.includes('fp32') || !this.#inCodes(name);
  }

  #isUnit(name: string): boolean {
    return this.tensors.units.some((tensor) => tensor.name === name);
  }

  #isFull(level: number): boolean {
    return keepsAll(this.config, this.variant(level));
  }
}

const ownName = (level: number, name: string): string => `level ${level}/${name}`;
const shiftedBias = (bias: string): string => `${bias}.shifted`;
