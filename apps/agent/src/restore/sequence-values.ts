import type { Manifest } from '@strideiq/core';
import { relationKey, type RelationName } from '@strideiq/dump';
import type { Connection } from '../postgres/connect.ts';
import { qualifiedName, quoteLiteral } from '../postgres/identifiers.ts';

/**
 * Sets the sequences that number the rows of some tables to where the backup has them.
 * @param tables by `relationKey`
 */
export async function setSequencesOf(
  connection: Connection,
  tables: ReadonlySet<string>,
  sequences: Manifest['sequences'],
): Promise<void> {
  // Owned by a column, or drawn from by its default.
  const { rows } = await connection.query<{ sequence: RelationName; table: RelationName }>(
    `SELECT json_build_object('schema', sn.nspname, 'name', s.relname) AS sequence, json_build_object('schema', tn.nspname, 'name', t.relname) AS table
       FROM (SELECT objid AS sequence, refobjid AS relation FROM pg_depend
              WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i') AND refobjsubid > 0
             UNION
             SELECT d.refobjid, a.adrelid FROM pg_depend d JOIN pg_attrdef a ON a.oid = d.objid
              WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass) AS used
       JOIN pg_class s ON s.oid = used.sequence AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace
       JOIN pg_class t ON t.oid = used.relation JOIN pg_namespace tn ON tn.oid = t.relnamespace`,
  );
  const values = new Map(sequences.map((one) => [relationKey(one), one]));
  for (const { sequence, table } of rows) {
    const value = values.get(relationKey(sequence));
    if (!tables.has(relationKey(table)) || !value || value.lastValue === null) continue;
    const name = qualifiedName(sequence.schema, sequence.name);
    await connection.query(`SELECT pg_catalog.setval(${quoteLiteral(name)}::pg_catalog.regclass, $1::bigint, $2)`, [
      value.lastValue,
      value.isCalled ?? true,
    ]);
  }
}
