import { s3CredentialsSchema, textSchema } from '@strideiq/configuration';
import { heartbeatSchema, type HeartbeatConfiguration } from '@strideiq/heartbeat';
import { isIP } from 'node:net';
import { z } from 'zod';
import { channelsSchema, type ChannelConfiguration } from '../channels/schema.ts';
import { listenSchema } from './listen.ts';

/** A bucket that the control plane reaches itself: to look after it, and to give out URLs for what is in it. */
const ownStoreSchema = z.strictObject({
  bucket: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/,
      'must be a bucket by its name alone, without s3:// or a path',
    )
    .describe("The bucket's name."),
  prefix: z
    .string()
    .transform((prefix) => prefix.replace(/^\/+/, ''))
    .prefault('')
    .describe('For stores whose prefix begins with this. Of several that fit, the longest counts.'),
  endpoint: z
    .url({ protocol: /^https?$/, error: 'must be a URL that begins with https:// or http://' })
    .optional()
    .describe('Address of a server other than Amazon S3, as the agents’ files have it.'),
  region: textSchema
    .optional()
    .describe('Region, such as eu-west-1. Left out: as the agent says, then AWS_REGION or the profile’s.'),
  forcePathStyle: z
    .boolean()
    .optional()
    .describe('Bucket in the path instead of the host name. Left out: true once an endpoint is given.'),
  credentials: s3CredentialsSchema.optional(),
});
export type OwnStoreConfiguration = z.output<typeof ownStoreSchema>;

function isProxy(text: string): boolean {
  const [address = '', bits, more] = text.split('/');
  const family = isIP(address);
  if (family === 0 || more !== undefined) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

const requestsPerMinute = (what: string) => z.int().min(1).max(10_000_000).describe(`Requests in a minute ${what}.`);

/** The control plane's file, key by key. Everything but `stores` can be said by an environment variable too. */
export const controlPlaneFileSchema = z.strictObject({
  version: z
    .literal(1, { error: 'must be 1, the version of this file’s form' })
    .describe("Version of this file's form: 1."),
  listen: listenSchema.optional().describe('Address and port. STRIDEIQ_LISTEN. Left out: 127.0.0.1:8080.'),
  dataDir: textSchema
    .optional()
    .describe(
      'Where the catalog and admin.key are. STRIDEIQ_DATA_DIR. Left out: /var/lib/strideiq-control-plane for root, else ~/.local/state/strideiq-control-plane.',
    ),
  tlsCert: textSchema
    .optional()
    .describe('File with the certificate and those that lead to its root, in PEM. STRIDEIQ_TLS_CERT.'),
  tlsKey: textSchema.optional().describe("File with the certificate's private key, in PEM. STRIDEIQ_TLS_KEY."),
  allowPlainText: z
    .boolean()
    .optional()
    .describe(
      'Whether http:// is spoken beyond this host, where anyone on the way can read along. STRIDEIQ_ALLOW_PLAIN_TEXT.',
    ),
  trustedProxies: z
    .array(z.string().refine(isProxy, 'must be addresses or networks, such as 10.0.0.0/8'))
    .optional()
    .describe('Addresses or networks of proxies whose X-Forwarded-For is believed. STRIDEIQ_TRUSTED_PROXIES.'),
  logLevel: z
    .enum(['debug', 'info', 'warn', 'error'])
    .optional()
    .describe('The least that is logged. STRIDEIQ_LOG_LEVEL. Left out: info.'),
  rateLimit: z
    .strictObject({
      perKey: requestsPerMinute('by one key').default(6000),
      perAddress: requestsPerMinute('from one address without a good key').default(600),
    })
    .prefault({})
    .describe('What is more is refused for the rest of the minute.'),
  publicUrl: z
    .url({ protocol: /^https?$/, error: 'must be a URL that begins with https:// or http://' })
    .optional()
    .describe(
      'Where people find this control plane, for the links in messages. STRIDEIQ_PUBLIC_URL. Left out: no links.',
    ),
  channels: channelsSchema.describe(
    'Where alerts are told, by name. Left out: nobody is told, and `strideiq alerts` shows them.',
  ),
  heartbeat: heartbeatSchema
    .optional()
    .describe(
      'A URL in the convention of healthchecks.io that is told each minute that this program is well, so that its own death is noticed. Left out: nobody.',
    ),
  stores: z
    .array(ownStoreSchema)
    .default([])
    .describe(
      'Buckets that the control plane looks after, by credentials of its own: retention, and what differs from the catalog.',
    ),
});

/** What the control plane was told, checked, with every default in its place. */
export interface ControlPlaneConfiguration {
  listen: { host: string; port: number };
  dataDir: string;
  tls?: { certFile: string; keyFile: string };
  trustedProxies: readonly string[];
  logLevel: 'debug' | 'info' | 'warn' | 'error';
  rateLimit: { perKey: number; perAddress: number };
  stores: readonly OwnStoreConfiguration[];
  channels: Readonly<Record<string, ChannelConfiguration>>;
  heartbeat?: HeartbeatConfiguration;
  /** Where people find it; left out: nobody said. */
  publicUrl?: string;
  /** Whether secrets may cross a network in the clear. */
  allowPlainText: boolean;
}
