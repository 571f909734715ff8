/**
 * A command as one would type it again: through npm in a clone, by its name where the package is installed.
 * @param environment npm names the script that it runs in `npm_lifecycle_event`
 */
export function typed(words: string, environment: Readonly<Record<string, string | undefined>>): string {
  const throughNpm = environment.npm_lifecycle_event === 'concertina';
  return `${throughNpm ? 'npm run concertina --' : 'concertina'} ${words}`;
}
