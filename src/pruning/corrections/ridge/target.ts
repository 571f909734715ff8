import { keptOf, type UnitOrder, unitCount, type Variant, type VitConfig } from '../../../vit/index.ts';
import { inputUnits, type Part } from '../../activations/residual-stream.ts';

/** What a level is cut to, in which order of units. */
export interface Target {
  readonly variant: Variant;
  readonly units: UnitOrder;
}

/** Half of a block. */
export interface Place {
  readonly block: number;
  readonly part: Part;
}

/** How many inputs the last layer of a half block keeps at a level, and how many it has. */
export function keptInputs(
  config: VitConfig,
  { variant }: Target,
  { block, part }: Place,
): { readonly inputs: number; readonly all: number } {
  const { kind, width } = inputUnits(config, part);
  return { inputs: keptOf(config, variant, kind, block) * width, all: unitCount(config, kind) * width };
}

/** The canonical shape of a last layer's weight that reads so many inputs. */
export function lastLayerShape(config: VitConfig, part: Part, inputs: number): readonly number[] {
  const { width } = inputUnits(config, part);
  return part === 'attention' ? [inputs / width, width, config.width] : [inputs, config.width];
}
