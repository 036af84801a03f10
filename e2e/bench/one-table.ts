import { startHttpFaultProxy } from '@strideiq/testkit';
import { hostOptions, type Made } from './dump-suite.ts';
import { empty } from './s3-suite.ts';
import { bucket, type Stage } from './stage.ts';

/** What was read of a dump to restore one of its tables. */
export interface OneTable {
  table: string;
  /** Of the dump's SQL: 0.01 is one per cent. */
  share: number;
  objectBytes: number;
  readBytes: number;
  wallMs: number;
}

const into = 'bench_one_table';
const table = 'public.one_per_cent';

/** Restores a table of one per cent of the database from S3, and counts what comes over the wire. */
export async function benchOneTable(
  stage: Stage,
  database: string,
  scaleMb: number,
  say: (line: string) => void,
): Promise<OneTable | undefined> {
  if (!stage.abilities.tables) {
    say('  left out, since this version of the agent cannot: one table from S3');
    return undefined;
  }
  const server = await stage.s3();
  const proxy = await startHttpFaultProxy({ to: server.endpoint });
  try {
    const rowBytes = await createTable(stage, database, scaleMb);
    const s3 = { server, endpoint: proxy.endpoint, bucket };
    const host = stage.host({ ...hostOptions(database, { jobs: 2 }), stores: ['s3'], s3 });
    const { said } = await stage.agent(host, ['backup']);
    const made = said as Made;
    const before = proxy.requests.length;
    const { measured } = await stage.agent(host, ['restore', 'latest', '--table', table, '--into', into]);
    const reads = proxy.requests.slice(before).filter(({ path }) => path.endsWith(`/${made.name}`));
    const readBytes = reads.reduce((sum, { answerBytes }) => sum + answerBytes, 0);
    const share = rowBytes / made.rawBytes;
    say(`  ${table}, ${(share * 100).toFixed(2)} % of the database: ${readBytes} of ${made.bytes} bytes read`);
    return { table, share, objectBytes: made.bytes, readBytes, wallMs: measured.wallMs };
  } finally {
    await proxy.stop();
    await stage.cluster.dropDatabase(into);
    await empty(server);
  }
}

/** Makes a table of about one per cent of the dump's SQL, whatever else the sample holds. @returns bytes of its rows */
async function createTable(stage: Stage, database: string, scaleMb: number): Promise<number> {
  const onePerCentBytes = scaleMb * 10_000;
  const [made] = await stage.cluster.query<{ bytes: number }>(
    database,
    `CREATE TABLE ${table} AS
       SELECT content FROM (
         SELECT content, sum(length(content) + 1) OVER (ROWS UNBOUNDED PRECEDING) AS so_far
           FROM (SELECT row_to_json(a)::text AS content FROM app.activities a) AS rows
       ) AS summed WHERE so_far <= ${onePerCentBytes};
     SELECT sum(length(content) + 1)::float8 AS bytes FROM ${table}`,
  );
  return made?.bytes ?? 0;
}
