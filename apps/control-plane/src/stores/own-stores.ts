import { resolveS3Credentials, type ResolvedS3Credentials } from '@strideiq/configuration';
import { openS3Store, s3LocationOf, usualRetries, withRetry, type Store } from '@strideiq/storage';
import type { OwnStoreConfiguration } from '../configuration/index.ts';
import type { OpenOwnStore, StoreRow } from '../copies/own-stores.ts';

export interface OwnStoresParts {
  configured: readonly OwnStoreConfiguration[];
  env: NodeJS.ProcessEnv;
  /** Learns what must not be logged. */
  secrets: Set<string>;
}

interface Opened {
  store: Store;
  /** What it was opened with, to see that a file holds something else by now, or that its host has said better. */
  openedWith: string;
}

/** The buckets that the control plane reaches by credentials of its own; each is opened once, when it is first needed. */
export class OwnStores {
  readonly #parts: OwnStoresParts;
  readonly #opened = new Map<string, Opened>();
  readonly #retired: Store[] = [];

  constructor(parts: OwnStoresParts) {
    this.#parts = parts;
  }

  /** @throws ConfigurationError `SecretUnavailable` where the configuration points at credentials that cannot be read */
  readonly open: OpenOwnStore = async (row) => {
    const place = row.s3;
    const configured = configurationFor(this.#parts.configured, row);
    if (configured === undefined || place === undefined || place === null) return undefined;
    const resolved = await resolveS3Credentials(configured.credentials, this.#parts.env);
    for (const secret of resolved.secrets) this.#parts.secrets.add(secret);
    const options = optionsOf(configured, place, resolved);
    const openedWith = JSON.stringify(options);
    const before = this.#opened.get(row.id);
    if (before?.openedWith === openedWith) return before.store;
    // Somebody may still be using it.
    if (before !== undefined) this.#retired.push(before.store);
    const store = withRetry(await openS3Store(options), usualRetries);
    this.#opened.set(row.id, { store, openedWith });
    return store;
  };

  close(): void {
    for (const store of [...this.#retired, ...[...this.#opened.values()].map(({ store }) => store)]) store.close();
    this.#opened.clear();
    this.#retired.length = 0;
  }
}

/** Same server, same bucket, and of the prefixes that the store's begins with the longest. */
export function configurationFor(
  configured: readonly OwnStoreConfiguration[],
  { type, s3 }: Pick<StoreRow, 'type' | 's3'>,
): OwnStoreConfiguration | undefined {
  if (type !== 's3' || s3 === null) return undefined;
  const server = serverOf(s3.endpoint);
  return configured
    .filter(
      ({ endpoint, bucket, prefix }) =>
        serverOf(endpoint) === server && bucket === s3.bucket && isBelow(s3.prefix, prefix),
    )
    .reduce<OwnStoreConfiguration | undefined>(
      (best, each) => (best === undefined || each.prefix.length > best.prefix.length ? each : best),
      undefined,
    );
}

/** Folder by folder: `backups` is no place for `backups-old/`. */
function isBelow(prefix: string, configured: string): boolean {
  return `${prefix.replace(/\/*$/, '')}/`.startsWith(configured === '' ? '' : `${configured.replace(/\/*$/, '')}/`);
}

/** In one spelling; an address that is none is no server of ours. */
function serverOf(endpoint: string | undefined): string | undefined {
  if (endpoint !== undefined && !URL.canParse(endpoint)) return undefined;
  return s3LocationOf({ bucket: '', ...(endpoint === undefined ? {} : { endpoint }) }).endpoint;
}

function optionsOf(
  { endpoint, region, forcePathStyle, bucket }: OwnStoreConfiguration,
  place: NonNullable<StoreRow['s3']>,
  { credentials, profile }: ResolvedS3Credentials,
): Parameters<typeof openS3Store>[0] {
  const options = { endpoint, region: region ?? place.region, forcePathStyle, credentials, profile };
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { bucket, prefix: place.prefix, ...Object.fromEntries(given) };
}
