declare module 'pgpass' {
  /** Looks up a password in PGPASSFILE or ~/.pgpass, by libpq's rules; undefined where no line matches. */
  export default function pgpass(
    connection: { host: string; port: number; database: string; user: string },
    found: (password: string | undefined) => void,
  ): void;
}
