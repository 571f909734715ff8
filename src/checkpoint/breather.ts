/** Numbers that are worked on at a stretch, some milliseconds: requests must not wait for a whole level. */
const BREATH = 1 << 20;

/** Lets others work whenever so many numbers have been done. */
export function breather(): (done: number) => Promise<void> {
  let since = 0;
  return async (done) => {
    since += done;
    if (since < BREATH) return;
    since = 0;
    await new Promise((go) => setTimeout(go));
  };
}
