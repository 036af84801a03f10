/** The statements that load a table which nobody has seen yet with rows that need no vacuum (PostgreSQL docs, "COPY", FREEZE). */
export interface FrozenCopy {
  /** Empties the table alone, and not those that inherit from it, in the transaction of the COPY. */
  truncate: Buffer;
  copy: Buffer;
}

const identifier = '(?:"(?:[^"]|"")+"|[^\\s".,;()]+)';
const header = new RegExp(`^COPY\\s+(${identifier}(?:\\.${identifier})?)(.*)\\sFROM\\s+stdin\\s*;\\s*$`, 'is');

/** From a COPY statement as it stands in the dump, byte for byte; undefined for one of another form than pg_dump's. */
export function frozenCopyOf(statement: Buffer): FrozenCopy | undefined {
  const [, table, columns] = header.exec(statement.toString('latin1')) ?? [];
  if (table === undefined || columns === undefined) return undefined;
  return {
    truncate: Buffer.from(`TRUNCATE ONLY ${table};`, 'latin1'),
    copy: Buffer.from(`COPY ${table}${columns} FROM stdin WITH (FREEZE);`, 'latin1'),
  };
}
