export { type EvaluatedLevel, type EvaluateOptions, type Evaluation, evaluate } from './evaluate.ts';
export { htmlReport } from './html-report.ts';
export { type LabelledImage, type LabelledImages, readLabelledImages } from './labelled-images.ts';
export { linearProbeTop1 } from './linear-probe.ts';
export { crossBudgetRecall, fidelity, knnTop1 } from './measures.ts';
export type { Vectors } from './vectors.ts';
