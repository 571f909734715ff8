/** What a worker has been given (or is being given), by keys of its owner's choice, least recently used first. */
export class GivenOnce {
  readonly #given = new Map<string, Promise<void>>();

  ensure(key: string, give: () => Promise<void>): Promise<void> {
    const known = this.#given.get(key);
    const given = known ?? give();
    this.#given.delete(key);
    this.#given.set(key, given);
    if (!known) given.catch(() => this.#given.delete(key));
    return given;
  }

  given(prefix: string): string[] {
    return [...this.#given.keys()].filter((key) => key.startsWith(prefix));
  }

  lose(key: string): boolean {
    return this.#given.delete(key);
  }
}
