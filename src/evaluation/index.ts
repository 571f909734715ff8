export { type EvaluatedLevel, type EvaluateOptions, type Evaluation, evaluate } from './evaluate.ts';
export { htmlReport } from './html-report.ts';
export { linearProbeTop1 } from './kernels/linear-probe.ts';
export type { Vectors } from './kernels/vectors.ts';
export { type LabelledImage, type LabelledImages, readLabelledImages } from './labelled-images.ts';
export { crossBudgetRecall, fidelity, knnTop1 } from './measures.ts';
