import { S3Client } from '@aws-sdk/client-s3';

/** Tries of a request: the SDK waits between them with full jitter (5xx, SlowDown, resets, timeouts). */
const MAX_ATTEMPTS = 6;
const CONNECT_TIMEOUT_MS = 5_000;
const IDLE_TIMEOUT_MS = 20_000;

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface S3StoreOptions {
  readonly bucket: string;
  /** Keys start with this, without a slash at either end. */
  readonly prefix?: string;
  /** Replaces AWS's own endpoint (R2, Ceph, MinIO). `AWS_ENDPOINT_URL_S3` does the same. */
  readonly endpoint?: string;
  readonly region?: string;
  /** Take the place of the AWS SDK's own chain (environment, profile, role). */
  readonly credentials?: S3Credentials;
  /** After so many milliseconds without a byte a request counts as lost and is tried again. @default 20_000 */
  readonly idleTimeoutMs?: number;
  /** A client of the caller's own. */
  readonly client?: S3Client;
}

/** The SDK's client, set up for any server that speaks S3. */
export function createS3Client(options: Omit<S3StoreOptions, 'bucket' | 'prefix' | 'client'>): S3Client {
  const endpoint = options.endpoint ?? process.env.AWS_ENDPOINT_URL_S3;
  const region =
    options.region ?? (endpoint !== undefined && !process.env.AWS_REGION ? 'us-east-1' : undefined);
  return new S3Client({
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    ...(region === undefined ? {} : { region }),
    ...(options.credentials ? { credentials: options.credentials } : {}),
    maxAttempts: MAX_ATTEMPTS,
    // Without these a server that stops answering would be waited for without end.
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: options.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
    },
    // Other servers than AWS's do not know the newer checksums; every range is checked by its sha256 anyway.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
}
