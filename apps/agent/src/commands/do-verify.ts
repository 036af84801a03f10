import { within } from '../backup/within.ts';
import { copiesIn } from '../verify/copies-in.ts';
import { runVerify, type VerifyRequest } from '../verify/run-verify.ts';
import { storeNamesOf } from './store-names.ts';
import type { Work } from './work.ts';

/** `verify`: reads the copies of one backup back, in the stores that are named or in all of the database's. */
export async function doVerify({ command, database, host, progress, signal }: Work<'verify'>): Promise<void> {
  const { runId, commandId, databaseId, body } = command;
  const { backupId, key: dumpKey, storeIds } = body;
  const names = storeNamesOf(host.configuration, database, storeIds);
  const stores = await host.storesOf(database, names);
  const { journal, key, surroundings, configuration } = host;
  const wanted = { dumpKey, backupId, databaseId, named: storeIds !== undefined };
  const copies = await within(copiesIn(stores, wanted, journal, database.dump.stallLimitMs), { signal });
  const request: VerifyRequest = {
    environment: configuration.environment,
    database: database.name,
    databaseId,
    reference: dumpKey,
    backupId,
    ...copies,
    asked: { runId, commandId },
  };
  await runVerify(request, { journal, key, now: surroundings.now, progress, signal });
}
