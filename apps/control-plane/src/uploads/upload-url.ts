import { newId, uploadKey } from '@strideiq/core';
import { and, asc, eq } from 'drizzle-orm';
import { recordAudit } from '../audit/audit.ts';
import { databases, stores } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';
import { commit } from '../runs/news.ts';
import type { Requester } from '../runs/requests.ts';
import type { WorkRequestsParts } from '../runs/work-requests.ts';

/** Where a dump may be put; the URL is a secret, and is never stored. */
export interface UploadUrl {
  storeId: string;
  key: string;
  url: string;
  /** What the request has to bear. */
  headers: Record<string, string>;
  expiresAt: number;
}

/** Until the upload has to begin. */
const expiresInSeconds = 900;

/** @throws ControlPlaneError as `WorkRequests.uploadUrl` says */
export async function uploadUrl(
  parts: WorkRequestsParts,
  { databaseId, sizeBytes }: { databaseId: string; sizeBytes: number },
  requester: Requester,
): Promise<UploadUrl> {
  const { catalog, now, presigns, connections } = parts;
  const database = catalog.select().from(databases).where(eq(databases.id, databaseId)).get();
  if (!database) {
    throw new ControlPlaneError('NotFound', `There is no database ${databaseId}.`, '`strideiq databases` lists them.');
  }
  const inBuckets = and(eq(stores.databaseId, databaseId), eq(stores.type, 's3'), eq(stores.declared, true));
  const store = catalog.select().from(stores).where(inBuckets).orderBy(asc(stores.name), asc(stores.id)).get();
  if (!store) {
    throw new ControlPlaneError(
      'PresignFailed',
      `The database ${database.name} has no store in a bucket, and a dump can be put into no other from afar.`,
      'Copy the file to its host, and run `strideiq-agent restore` there.',
    );
  }
  if (!connections.isConnected(database.agentId)) {
    throw new ControlPlaneError(
      'PresignFailed',
      `The agent of ${database.name} is not connected, and it alone can sign an upload into its bucket.`,
      'Look at that host: `strideiq-agent doctor` says why its agent is away.',
    );
  }
  const key = uploadKey(newId(now()));
  const asked = { storeId: store.id, key, sizeBytes, expiresInSeconds };
  const { urls, headers } = await presigns.ask('presignUpload', databaseId, asked);
  const [url] = urls;
  if (url === undefined) throw new Error('an answer without its URL');
  commit(parts, (tx) => {
    const { environment } = database;
    const detail = { databaseId, storeId: store.id, key };
    const entry = { actor: requester.keyId, action: 'upload.request', subject: databaseId, detail, environment };
    recordAudit(tx, entry, now());
  });
  return { storeId: store.id, key, url, headers, expiresAt: now() + expiresInSeconds * 1000 };
}
