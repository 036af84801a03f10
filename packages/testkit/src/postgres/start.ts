import { chownSync } from 'node:fs';
import { join } from 'node:path';
import { TestkitError } from '../errors.ts';
import { OwnedDirectory } from '../processes/owned-directory.ts';
import { serverAccount } from './account.ts';
import { findClients } from './clients.ts';
import { PostgresCluster } from './cluster.ts';
import { initialise, type PostgresOptions } from './data-directory.ts';
import { findInstallation, reachableBy } from './installation.ts';
import { makeServerHome } from './server-home.ts';

/**
 * A new, running, empty server. It ends with `stop`, and also when this process dies in whatever way.
 * @throws TestkitError `NotInstalled`, `CommandFailed` (initdb), `ServerDidNotStart`
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresCluster> {
  const { major = 15, authentication = 'trust' } = options;
  const password = options.superPassword ?? (authentication === 'scram' ? crypto.randomUUID() : undefined);
  const [found, account] = await Promise.all([findInstallation(major), serverAccount()]);
  const clients = await findClients(major).catch((error: unknown) => {
    if (error instanceof TestkitError) return error;
    throw error;
  });
  const owned = new OwnedDirectory(`testkit-postgres${major}-`);
  try {
    if (account.uid !== undefined) chownSync(owned.path, account.uid, account.gid ?? account.uid);
    const installation = await reachableBy(account, found, owned.path);
    const executable = await makeServerHome(installation, join(owned.path, 'home'));
    await initialise({ installation, account, directory: owned.path, authentication, password, options });
    const { binDir } = installation;
    const cluster = new PostgresCluster({ major, password, owned, account, binDir, executable, clients });
    await cluster.start();
    return cluster;
  } catch (error) {
    await owned.end();
    throw error;
  }
}
