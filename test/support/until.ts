/** Waits until `condition` holds. @throws when it does not within `ms` */
export async function until(condition: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`it did not happen within ${ms} ms: ${condition}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}
