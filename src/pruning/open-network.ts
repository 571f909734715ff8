import { type AnalysisModel, createAnalysis } from '../engine/index.ts';
import type { TensorMap, VitConfig } from '../vit/index.ts';
import type { PruningContext } from './contracts.ts';

export interface Network {
  readonly config: VitConfig;
  readonly tensors: TensorMap;
}

/** Opens a network on the device of the job. Its owner disposes of it. */
export async function openNetwork(
  { device, report }: Pick<PruningContext, 'device' | 'report'>,
  { config, tensors }: Network,
): Promise<AnalysisModel> {
  return await createAnalysis({ config, tensors, device, onFallback: (reason) => report.note(reason) });
}
