import type { PostgresCluster } from '@strideiq/testkit';
import { run } from '@strideiq/testkit';

/** SHA-256 of all that `pg_dump` writes of a database, byte for byte, without its `\restrict` key: also of what is no text. */
export async function dumpHash(cluster: PostgresCluster, database: string): Promise<string> {
  const script = `pg_dump --no-owner --no-acl -d "$0" | grep -av '^\\\\\\(un\\)\\?restrict ' | sha256sum`;
  const env = { ...cluster.clientEnv, PATH: `${cluster.clientDir}:/usr/bin:/bin` };
  const { stdout } = await run('bash', ['-e', '-o', 'pipefail', '-c', script, database], { env });
  return stdout;
}

/** Restores a dump as anybody would: `gunzip -c file | psql`, into a new empty database. */
export async function restoreByStockTools(
  cluster: PostgresCluster,
  file: string,
  database: string,
  options: Parameters<PostgresCluster['createDatabase']>[1] = {},
): Promise<void> {
  await cluster.createDatabase(database, { template: 'template0', ...options });
  const script = 'gunzip -c "$0" | psql -X -q -v ON_ERROR_STOP=1 -d "$1"';
  const env = { ...cluster.clientEnv, PATH: `${cluster.clientDir}:/usr/bin:/bin` };
  await run('bash', ['-e', '-o', 'pipefail', '-c', script, file, database], { env });
}
