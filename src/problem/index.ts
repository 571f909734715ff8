export type { ProblemCode, ProblemDefinition, ProblemDetails } from './problem.ts';
export { isProblem, PROBLEMS, Problem } from './problem.ts';
