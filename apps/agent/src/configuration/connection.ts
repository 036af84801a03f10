import { textSchema, variableSchema } from '@strideiq/configuration';
import { z } from 'zod';
import type { SecretText } from './secret-text.ts';

const file = (what: string): string => `File that holds ${what}, read at each use; a newline at its end is left out.`;

/** How to reach a database. What is left out comes from PG* environment variables, as with psql. */
export const connectionSchema = z
  .strictObject({
    host: textSchema
      .optional()
      .describe('Host name, address, or directory of a Unix socket. Left out: PGHOST, then localhost.'),
    port: z.int().min(1).max(65_535).optional().describe('Left out: PGPORT, then 5432.'),
    user: textSchema.optional().describe('Role to connect as. Left out: PGUSER, then the user that runs the agent.'),
    database: textSchema.optional().describe("Name on the server. Left out: the key's own name in this file."),
    passwordFile: textSchema.optional().describe(file("the role's password")),
    passwordEnv: variableSchema.optional().describe("Environment variable that holds the role's password."),
    sslmode: z
      .enum(['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'])
      .optional()
      .describe('As in libpq. Left out: PGSSLMODE, then prefer.'),
    sslrootcert: textSchema.optional().describe('File with the certificates that are trusted to sign for the server.'),
    sslcert: textSchema.optional().describe("File with the client's certificate."),
    sslkey: textSchema.optional().describe("File with the client's private key."),
    url: textSchema
      .optional()
      .describe('Everything in one, postgres://user@host:5432/name?sslmode=require, without a password.'),
    urlFile: textSchema.optional().describe(file('such a URL, with a password if need be')),
    urlEnv: variableSchema
      .optional()
      .describe('Environment variable that holds such a URL, with a password if need be.'),
  })
  .describe(
    'How to reach the database. Left out, in whole or in part: PGHOST, PGPORT, PGUSER, PGPASSWORD … as with psql.',
  );

/** As the host's file says; secrets are only pointed at, and read by `resolveConnection` when they are needed. */
export type ConnectionConfiguration = z.output<typeof connectionSchema> & {
  /** Name on the server where a URL holds none: the key in the file. */
  fallbackDatabase?: string;
  /** Only ever made in memory, from a URL on the command line. */
  password?: SecretText;
};

/** Keys that a URL says already. */
export const saidByUrl = ['host', 'port', 'user', 'database', 'sslmode'] as const;
