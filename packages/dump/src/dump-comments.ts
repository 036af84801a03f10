import { decodeName } from './encoding.ts';
import { TocReader } from './toc.ts';

/** Comments that tell something begin with `-- ` and Name, Data, Statistics, Dumped or PostgreSQL. */
const tellingLetters = new Set<number | undefined>(Buffer.from('NDSP'));

/** What pg_dump's own comments have told so far; pg_backup_archiver.c and pg_dumpall.c write them. */
export class DumpComments {
  readonly items = new TocReader();
  closingLineSeen = false;
  dumpedFrom: string | undefined;
  dumpedBy: string | undefined;

  /** Takes in a whole comment line from between statements, without its line end; tells whether it is an item's. */
  read(bytes: Buffer, clientEncoding: string): boolean {
    if (!tellingLetters.has(bytes[3])) return false;
    const line = decodeName(bytes, clientEncoding).trimEnd();
    if (/^-- PostgreSQL database (?:cluster )?dump complete$/.test(line)) this.closingLineSeen = true;
    const [, what, version] = /^-- Dumped (from database|by pg_dump) version (.+)$/.exec(line) ?? [];
    if (what === 'from database') this.dumpedFrom = version;
    if (what === 'by pg_dump') this.dumpedBy = version;
    return this.items.read(line);
  }
}
