import { describe, expect, it } from 'vitest';
import { snapvitLoss } from '../../../../src/pruning/criteria/snapvit/kernels/loss.ts';
import { createRandom } from '../../../../src/pruning/data/random.ts';

const VIEWS = 6;
const WIDTH = 9;

/** The loss written down from the page, with the teacher's embeddings given separately because they are constants. */
function literalLoss(students: number[][], teachers: number[][]): number {
  const normalised = (e: number[]) => e.map((value) => value / Math.hypot(...e));
  const softmax = (z: number[]) => {
    const exps = z.map(Math.exp);
    const sum = exps.reduce((a, b) => a + b, 0);
    return exps.map((value) => value / sum);
  };
  let loss = 0;
  for (const [t, teacher] of teachers.entries()) {
    for (const [s, student] of students.entries()) {
      if (s === t) continue;
      const p = softmax(normalised(teacher));
      const q = softmax(normalised(student)).map(Math.log);
      loss -= p.reduce((sum, value, k) => sum + value * (q[k] ?? 0), 0);
    }
  }
  return loss;
}

function randomEmbeddings(): number[][] {
  const random = createRandom(11);
  return Array.from({ length: VIEWS }, () => Array.from({ length: WIDTH }, () => 3 * random.normal()));
}

describe("SnapViT's loss", () => {
  it('is the cross entropy between the teacher views and all other views', () => {
    const e = randomEmbeddings();
    const { loss } = snapvitLoss(e.flat(), VIEWS, WIDTH);
    expect(loss).toBeCloseTo(literalLoss(e, e.slice(0, 2)), 12);
  });

  it('has the gradient that central differences find when the teacher is held fixed', () => {
    const e = randomEmbeddings();
    const { gradient } = snapvitLoss(e.flat(), VIEWS, WIDTH);
    const h = 1e-5;
    for (let view = 0; view < VIEWS; view++) {
      for (let k = 0; k < WIDTH; k++) {
        const moved = (by: number) =>
          e.map((row, v) => row.map((value, at) => (v === view && at === k ? value + by : value)));
        const slope =
          (literalLoss(moved(h), e.slice(0, 2)) - literalLoss(moved(-h), e.slice(0, 2))) / (2 * h);
        expect(Math.abs((gradient[view * WIDTH + k] ?? 0) - slope)).toBeLessThan(1e-9);
      }
    }
  });

  it('has a gradient at right angles to every embedding, because length does not count', () => {
    const e = randomEmbeddings();
    const { gradient } = snapvitLoss(e.flat(), VIEWS, WIDTH);
    for (const [view, row] of e.entries()) {
      const along = row.reduce((sum, value, k) => sum + value * (gradient[view * WIDTH + k] ?? 0), 0);
      expect(Math.abs(along)).toBeLessThan(1e-12);
    }
  });
});
