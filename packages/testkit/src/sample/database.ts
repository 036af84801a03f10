import { join } from 'node:path';
import type { PostgresCluster } from '../postgres/cluster.ts';
import { runScript } from '../postgres/script.ts';

export interface SampleOptions {
  /** About how many MB of SQL a plain pg_dump writes: 1 to several thousand. */
  scaleMb: number;
  /** Default 1. The same seed and scale give the same rows. */
  seed?: number;
}

const scripts = ['1-schema.sql', '2-rows.sql', '3-objects.sql'];
const directory = join(import.meta.dirname, '../../sample');

/** Rows by kind, for each MB of SQL; measured, so that the streams are about half of the bytes. */
function amounts(scaleMb: number): Record<string, number> {
  const rows = (perMb: number, atLeast: number): number => Math.max(atLeast, Math.round(scaleMb * perMb));
  const activities = rows(240, 200);
  return {
    coaches: rows(0.2, 5),
    athletes: rows(20, 50),
    activities,
    streams: Math.min(activities, rows(24, 20)),
    check_ins: rows(700, 200),
    messages: rows(320, 100),
    fit_files: Math.min(activities, rows(5, 4)),
    voice_notes: rows(0.6, 3),
  };
}

/**
 * Creates a database of StrideIQ, an app for training runners: athletes, activities, streams of their sensors, and one
 * of nearly everything else that a PostgreSQL database can hold. Made by the server itself, from the SQL in `sample/`.
 * Makes roles `strideiq_app`, `strideiq_readonly` and `Coach "Role"` where the cluster lacks them.
 */
export async function createSampleDatabase(
  cluster: PostgresCluster,
  name: string,
  { scaleMb, seed = 1 }: SampleOptions,
): Promise<void> {
  await cluster.createDatabase(name, { template: 'template0' });
  const client = await cluster.connect(name);
  try {
    // One transaction: a table's first rows, in the transaction that makes it, need no write-ahead log.
    await client.query('BEGIN');
    await client.query(drawing(amounts(scaleMb), Math.trunc(seed)));
    for (const script of scripts) await runScript(client, join(directory, script));
    await client.query('COMMIT');
    await client.query('SET default_statistics_target = 10; ANALYZE');
  } finally {
    await client.end();
  }
}

/**
 * Functions of this session that draw numbers: a hash of a row's number, the place where it is used, and the seed.
 * `hashint8extended` gives the same on every version and machine.
 */
function drawing(amounts: Record<string, number>, seed: number): string {
  const cases = Object.entries(amounts).map(([kind, amount]) => `WHEN '${kind}' THEN ${amount}`);
  return `
    CREATE FUNCTION pg_temp.dice(n bigint, place integer) RETURNS bigint LANGUAGE sql IMMUTABLE
      AS 'SELECT hashint8extended(n, ${seed} * 1000003::bigint + place)';
    CREATE FUNCTION pg_temp.noise(n bigint, place integer) RETURNS double precision LANGUAGE sql IMMUTABLE
      AS 'SELECT (hashint8extended(n, ${seed} * 1000003::bigint + place) & 2147483647)::float8 / 2147483648';
    CREATE FUNCTION pg_temp.pick(n bigint, place integer, below bigint) RETURNS integer LANGUAGE sql IMMUTABLE
      AS 'SELECT (1 + (hashint8extended(n, ${seed} * 1000003::bigint + place) & 2147483647) % below)::integer';
    CREATE FUNCTION pg_temp.amount(kind text) RETURNS integer LANGUAGE sql IMMUTABLE
      AS $$ SELECT CASE kind ${cases.join(' ')} END $$;
    SET LOCAL synchronous_commit = off;
    SET LOCAL maintenance_work_mem = '256MB';
    SET LOCAL work_mem = '64MB';
  `;
}
