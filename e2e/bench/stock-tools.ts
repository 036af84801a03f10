/** A way to do the work with stock tools, as a line of bash; bash itself takes next to nothing. */
export interface StockTool {
  /** As tables name it; also what others are compared with. */
  name: string;
  /** Programs that have to be there, beside PostgreSQL's own. */
  needs: readonly string[];
  /**
   * Sees PG* of the server, $DATABASE, and what each kind of work has: `$OUTPUT` (a file or directory that is not there
   * yet), `$GZ` (a `.sql.gz`), `$FD` (a dump of `pg_dump -Fd`), `$INTO` (a database that is not there yet), `$BUCKET`.
   */
  line: string;
}

export const gzip6 = 'pg_dump | gzip -6';
export const pigz6 = 'pg_dump | pigz -6';
export const pigz1 = 'pg_dump | pigz -1';

export const dumpTools: readonly StockTool[] = [
  { name: 'pg_dump to nowhere', needs: [], line: 'pg_dump "$DATABASE" > /dev/null' },
  { name: gzip6, needs: ['gzip'], line: 'pg_dump "$DATABASE" | gzip -6 > "$OUTPUT"' },
  { name: pigz6, needs: ['pigz'], line: 'pg_dump "$DATABASE" | pigz -6 > "$OUTPUT"' },
  { name: pigz1, needs: ['pigz'], line: 'pg_dump "$DATABASE" | pigz -1 > "$OUTPUT"' },
  { name: 'pg_dump -Fc', needs: [], line: 'pg_dump -Fc -f "$OUTPUT" "$DATABASE"' },
  { name: 'pg_dump -Fd -j2', needs: [], line: 'pg_dump -Fd -j2 -f "$OUTPUT" "$DATABASE"' },
];

export const psql = 'gunzip | psql';
export const psqlAnalyze = 'gunzip | psql, then vacuumdb --analyze-only -j2';
export const pgRestore = 'pg_restore -Fd -j2';

const create = 'psql -X -q -d postgres -c "CREATE DATABASE $INTO TEMPLATE template0"';
const load = `${create} && gunzip -c "$GZ" | psql -X -q -v ON_ERROR_STOP=1 -d "$INTO" > /dev/null`;

export const restoreTools: readonly StockTool[] = [
  { name: psql, needs: ['gunzip'], line: load },
  { name: psqlAnalyze, needs: ['gunzip'], line: `${load} && vacuumdb --analyze-only -q -j2 "$INTO"` },
  { name: pgRestore, needs: [], line: `${create} && pg_restore -j2 -d "$INTO" "$FD"` },
];

const upload = 'aws s3 cp --only-show-errors "$OUTPUT" "s3://$BUCKET/bench"';
export const gzip6Upload = 'pg_dump | gzip -6, then aws s3 cp';

export const s3Tools: readonly StockTool[] = [
  { name: gzip6Upload, needs: ['gzip', 'aws'], line: `pg_dump "$DATABASE" | gzip -6 > "$OUTPUT" && ${upload}` },
  {
    name: 'pg_dump | pigz -1, then aws s3 cp',
    needs: ['pigz', 'aws'],
    line: `pg_dump "$DATABASE" | pigz -1 > "$OUTPUT" && ${upload}`,
  },
];
