/** Loss of one image and its gradient. */
export interface LossGradient {
  readonly loss: number;
  /** dL/d(embedding) of every view, `[views, width]`. */
  readonly gradient: Float64Array;
}

/**
 * SnapViT's self-supervised loss of one image (Simoncini et al. 2025, section 3; DINO without a temperature):
 * `z = e / |e|`, `p = softmax(z)` of a teacher view (a constant), `q = log softmax(z)` of a student view, and
 * `L = sum over teachers t, students s != t of -(p_t . q_s)`.
 * @param embeddings `[views, width]`, the teacher's (global) views first
 * @param teachers number of teacher views
 */
export function snapvitLoss(
  embeddings: ArrayLike<number>,
  views: number,
  width: number,
  teachers = 2,
): LossGradient {
  const unit = new Float64Array(views * width);
  const logits = new Float64Array(views * width);
  const norms = new Float64Array(views);
  for (let view = 0; view < views; view++) {
    normalise(embeddings, unit, norms, view, width);
    logSoftmax(unit, logits, view, width);
  }
  let loss = 0;
  const gradient = new Float64Array(views * width);
  for (let student = 0; student < views; student++) {
    const own = student * width;
    for (let teacher = 0; teacher < teachers; teacher++) {
      if (teacher === student) continue;
      for (let k = 0; k < width; k++) {
        const target = Math.exp(logits[teacher * width + k]);
        const log = logits[own + k];
        loss -= target * log;
        // d/dz_s of -(p_t . log softmax(z_s)) = softmax(z_s) - p_t, because p_t sums to one.
        gradient[own + k] = gradient[own + k] + Math.exp(log) - target;
      }
    }
    throughNormalisation(gradient, unit, norms[student], own, width);
  }
  return { loss, gradient };
}

function normalise(
  embeddings: ArrayLike<number>,
  unit: Float64Array,
  norms: Float64Array,
  view: number,
  width: number,
): void {
  let squares = 0;
  for (let k = 0; k < width; k++) squares += embeddings[view * width + k] ** 2;
  const norm = Math.sqrt(squares);
  norms[view] = norm;
  for (let k = 0; k < width; k++) unit[view * width + k] = embeddings[view * width + k] / norm;
}

function logSoftmax(unit: Float64Array, logits: Float64Array, view: number, width: number): void {
  // Components of a unit vector lie in [-1, 1]: exp cannot overflow, so no maximum is subtracted.
  let sum = 0;
  for (let k = 0; k < width; k++) sum += Math.exp(unit[view * width + k]);
  const log = Math.log(sum);
  for (let k = 0; k < width; k++) logits[view * width + k] = unit[view * width + k] - log;
}

/** dL/de = (dL/dz - z (z . dL/dz)) / |e|. */
function throughNormalisation(
  gradient: Float64Array,
  unit: Float64Array,
  norm: number,
  start: number,
  width: number,
): void {
  let along = 0;
  for (let k = 0; k < width; k++) along += gradient[start + k] * unit[start + k];
  for (let k = 0; k < width; k++) {
    gradient[start + k] = (gradient[start + k] - unit[start + k] * along) / norm;
  }
}
