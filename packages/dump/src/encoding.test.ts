import { startPostgres, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { decodeName } from './encoding.ts';

let cluster: PostgresCluster;
beforeAll(async () => {
  cluster = await startPostgres();
  // A byte that an encoding leaves open is an error to PostgreSQL, which names cannot hold.
  await cluster.query(
    'postgres',
    `CREATE FUNCTION decoded(byte int, encoding text) RETURNS text LANGUAGE plpgsql AS $$
     BEGIN RETURN convert_from(set_byte('\\x00', 0, byte), encoding); EXCEPTION WHEN others THEN RETURN NULL; END $$`,
  );
});
afterAll(async () => {
  await cluster.stop();
});

const singleByte = `LATIN1 LATIN2 LATIN3 LATIN4 LATIN5 LATIN6 LATIN7 LATIN8 LATIN9 LATIN10 ISO_8859_5 ISO_8859_6 ISO_8859_7
  ISO_8859_8 KOI8R KOI8U WIN866 WIN874 WIN1250 WIN1251 WIN1252 WIN1253 WIN1254 WIN1255 WIN1256 WIN1257 WIN1258`;

test.each(singleByte.split(/\s+/))('names in %s are read as PostgreSQL reads them', async (encoding) => {
  const rows = await cluster.query<{ byte: number; text: string | null }>(
    'postgres',
    `SELECT byte, decoded(byte, '${encoding}') AS text FROM generate_series(1, 255) AS byte`,
  );
  const known = rows.filter(({ text }) => text !== null);
  expect(known.length).toBeGreaterThan(150);
  expect(known.map(({ byte }) => decodeName(Buffer.of(byte), encoding))).toEqual(known.map(({ text }) => text));
});
