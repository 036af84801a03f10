import { startHttpFaultProxy } from '@strideiq/testkit';
import { hostOptions, type Made } from './dump-suite.ts';
import { empty } from './s3-suite.ts';
import { bucket, type Stage } from './stage.ts';

/** What was read of a dump to restore one of its tables. */
export interface OneTable {
  table: string;
  /** Of what all tables take on the server: 0.01 is one per cent. */
  share: number;
  objectBytes: number;
  readBytes: number;
  wallMs: number;
}

const into = 'bench_one_table';

/** Restores the table that is nearest to one per cent of the database from S3, and counts what comes over the wire. */
export async function benchOneTable(
  stage: Stage,
  database: string,
  say: (line: string) => void,
): Promise<OneTable | undefined> {
  if (!stage.abilities.tables) {
    say('  left out, since this version of the agent cannot: one table from S3');
    return undefined;
  }
  const server = await stage.s3();
  const proxy = await startHttpFaultProxy({ to: server.endpoint });
  try {
    const { table, share } = await nearTo(stage, database, 0.01);
    const s3 = { server, endpoint: proxy.endpoint, bucket };
    const host = stage.host({ ...hostOptions(database, { jobs: 2 }), stores: ['s3'], s3 });
    const { said } = await stage.agent(host, ['backup']);
    const made = said as Made;
    const before = proxy.requests.length;
    const { measured } = await stage.agent(host, ['restore', 'latest', '--table', table, '--into', into]);
    const reads = proxy.requests.slice(before).filter(({ path }) => path.endsWith(`/${made.name}`));
    const readBytes = reads.reduce((sum, { answerBytes }) => sum + answerBytes, 0);
    say(`  ${table}, ${(share * 100).toFixed(2)} % of the database: ${readBytes} of ${made.bytes} bytes read`);
    return { table, share, objectBytes: made.bytes, readBytes, wallMs: measured.wallMs };
  } finally {
    await proxy.stop();
    await stage.cluster.dropDatabase(into);
    await empty(server);
  }
}

async function nearTo(stage: Stage, database: string, share: number): Promise<{ table: string; share: number }> {
  const [found] = await stage.cluster.query<{ table: string; share: number }>(
    database,
    `SELECT format('%s.%s', nspname, relname) AS table,
            pg_table_size(c.oid) / sum(pg_table_size(c.oid)) OVER ()::float8 AS share
       FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
      WHERE relkind = 'r' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
        AND relname ~ '^[a-z_]+$' AND nspname ~ '^[a-z_]+$'
      ORDER BY abs(pg_table_size(c.oid) / sum(pg_table_size(c.oid)) OVER ()::float8 - $1) LIMIT 1`,
    [share],
  );
  if (!found) throw new Error(`${database} has no tables`);
  return found;
}
