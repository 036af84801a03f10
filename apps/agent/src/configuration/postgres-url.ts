/** The parts of a PostgreSQL connection URL (PostgreSQL docs, 34.1.1.2); absent where the URL does not say. */
export interface PostgresUrl {
  host?: string;
  port?: number;
  user?: string;
  database?: string;
  password?: string;
  sslmode?: string;
  sslrootcert?: string;
  sslcert?: string;
  sslkey?: string;
  /** Command-line options for the session, as in PGOPTIONS. */
  options?: string;
  /** Parameters that we can neither honour nor pass over. */
  unknown: string[];
  /** The same URL with its password taken out. */
  withoutPassword: string;
}

/** What a URL should look like, for messages. */
export const postgresUrlCure =
  'Write postgres://user@host:5432/name, with one host, and letters such as @ : / in names as %XX.';

const parameters = ['host', 'user', 'password', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'options'] as const;

/** They change nothing about which data is read, or are set by us. */
const passedOver =
  /^(application_name|fallback_application_name|connect_timeout|keepalives.*|tcp_user_timeout|target_session_attrs|channel_binding|gssencmode|client_encoding)$/;

/**
 * Takes a connection URL apart as libpq does; undefined for what is none, or names several hosts. SQLAlchemy's
 * `postgresql+driver://` is taken too, since that is what applications keep in DATABASE_URL.
 */
export function readPostgresUrl(text: string): PostgresUrl | undefined {
  const plain = text.trim().replace(/^postgres(?:ql)?(?:\+\w+)?:\/\//, 'postgresql://');
  if (!plain.startsWith('postgresql://') || !URL.canParse(plain)) return undefined;
  const url = new URL(plain);
  const found: PostgresUrl = { unknown: [], withoutPassword: '' };
  try {
    if (url.hostname !== '') found.host = decodeURIComponent(url.hostname.replace(/^\[(.*)\]$/, '$1'));
    if (url.port !== '') found.port = Number(url.port);
    if (url.username !== '') found.user = decodeURIComponent(url.username);
    if (url.password !== '') found.password = decodeURIComponent(url.password);
    if (url.pathname.length > 1) found.database = decodeURIComponent(url.pathname.slice(1));
  } catch {
    return undefined;
  }
  for (const [name, value] of url.searchParams) {
    if (name === 'port') found.port = Number(value);
    else if (name === 'dbname') found.database = value;
    else if (name === 'ssl') found.sslmode = value === 'true' ? 'require' : 'disable';
    else if ((parameters as readonly string[]).includes(name)) found[name as (typeof parameters)[number]] = value;
    else if (!passedOver.test(name)) found.unknown.push(name);
  }
  if (found.host?.includes(',') || (found.port !== undefined && !(found.port > 0 && found.port < 65_536)))
    return undefined;
  url.password = '';
  url.searchParams.delete('password');
  return { ...found, withoutPassword: url.href };
}
