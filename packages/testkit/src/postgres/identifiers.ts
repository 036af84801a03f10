import pg from 'pg';

/** Quotes a name for use in SQL. */
export const quoteIdent: (name: string) => string = pg.escapeIdentifier;

/** Quotes a text for use in SQL, whatever `standard_conforming_strings` says. */
export const quoteLiteral: (text: string) => string = pg.escapeLiteral;
