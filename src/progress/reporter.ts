/** Where long work tells how far it is. Terminals draw a bar with an ETA; pipes get one line per step; `--json` events. */
export interface Reporter {
  /** Begins a step of `total` units of work (images, evaluations, levels). */
  step(name: string, total: number): Step;
  /** One sentence for people that is neither progress nor an error (a skipped image, a resumed step). */
  note(message: string): void;
}

export interface Step {
  /** `done` units of work are finished so far. `detail` is shown beside the bar (`best fitness 0.8312`). */
  advance(done: number, detail?: string): void;
  end(detail?: string): void;
}

/** A reporter that says nothing. */
export const silent: Reporter = {
  step: () => ({ advance: () => {}, end: () => {} }),
  note: () => {},
};
