import type { Operator } from './call.ts';
import { ELEMENTWISE } from './elementwise.ts';
import { INDEXING } from './indexing.ts';
import { PRODUCTS } from './products.ts';
import { REDUCTIONS } from './reductions.ts';
import { SHAPES } from './shapes.ts';

/** From ONNX operator to what computes it on the device. */
export const OPERATORS: Readonly<Record<string, Operator>> = {
  ...ELEMENTWISE,
  ...SHAPES,
  ...PRODUCTS,
  ...REDUCTIONS,
  ...INDEXING,
};
