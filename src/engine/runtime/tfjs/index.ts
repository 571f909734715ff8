export { createTfjsAnalysis, type TfjsAnalysisOptions } from './analysis.ts';
export { backendInstalled, loadBackend, type TfjsBackend } from './backend.ts';
export { createTfjsModel, type TfjsModelOptions } from './elastic.ts';
