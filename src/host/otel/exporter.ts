import { VERSION } from '../version.ts';
import { otlpBody, type Span } from './otlp.ts';
import type { TraceSettings } from './settings.ts';

/** A collector that does not answer is spoken of once in so many milliseconds. */
const COMPLAIN_MS = 60_000;

/** Sends spans in batches over OTLP/HTTP as JSON. Never in a request's way: what does not fit, or cannot be sent, is dropped. */
export class SpanExporter {
  readonly #settings: TraceSettings;
  readonly #note: (message: string) => void;
  #waiting: Span[] = [];
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> = Promise.resolve();
  #complained = Number.NEGATIVE_INFINITY;

  /** @param note told now and then that spans were lost */
  constructor(settings: TraceSettings, note: (message: string) => void) {
    this.#settings = settings;
    this.#note = note;
  }

  add(spans: readonly Span[]): void {
    const { queue, batch, delayMs } = this.#settings;
    if (this.#waiting.length + spans.length > queue) {
      this.#complain('the queue is full');
      return;
    }
    this.#waiting.push(...spans);
    if (this.#waiting.length >= batch) void this.flush();
    else if (!this.#timer) {
      this.#timer = setTimeout(() => void this.flush(), delayMs);
      this.#timer.unref();
    }
  }

  /** When everything that has been added so far was sent or dropped. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const spans = this.#waiting;
    this.#waiting = [];
    for (let first = 0; first < spans.length; first += this.#settings.batch) {
      const batch = spans.slice(first, first + this.#settings.batch);
      this.#sending = this.#sending.then(() => this.#send(batch));
    }
    await this.#sending;
  }

  async #send(spans: readonly Span[]): Promise<void> {
    const { endpoint, headers, timeoutMs, resource } = this.#settings;
    try {
      const response = await fetch(endpoint, {
        method: 'POST',
        headers: { ...headers, 'Content-Type': 'application/json' },
        body: JSON.stringify(otlpBody(resource, { name: 'concertina', version: VERSION }, spans)),
        signal: AbortSignal.timeout(timeoutMs),
      });
      await response.arrayBuffer();
      if (!response.ok) this.#complain(`it answered ${response.status}`);
    } catch (error) {
      this.#complain(error instanceof Error ? error.message : String(error));
    }
  }

  #complain(reason: string): void {
    const now = performance.now();
    if (now - this.#complained < COMPLAIN_MS) return;
    this.#complained = now;
    this.#note(`Traces for ${new URL(this.#settings.endpoint).host} are being lost: ${reason}.`);
  }
}
