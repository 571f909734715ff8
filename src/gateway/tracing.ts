import type { RequestRecord } from './record.ts';

/** Makes traces of requests; given by the platform, so that the application depends on no exporter. */
export interface Tracer {
  /**
   * Called when the first byte of a request has been seen.
   * @param traceparent W3C Trace Context of the caller, as it came; anything malformed starts a trace of its own
   */
  begin(traceparent: string | undefined, tracestate: string | undefined): Trace;
}

/** The trace of one request. */
export interface Trace {
  /** 32 hexadecimal digits, for logs. */
  readonly traceId: string;
  /** This request's own span in the form of `traceparent`, for the answer's `traceresponse` header. */
  readonly context: string;
  /** Called once the answer has been made. */
  end(record: RequestRecord): void;
}
