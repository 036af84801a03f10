import { z } from 'zod';
import { formsOfSecret, secretOf } from './secrets.ts';
import { textSchema, variableSchema } from './values.ts';

export const s3CredentialsSchema = z
  .strictObject({
    accessKeyIdFile: textSchema.optional().describe('File that holds the access key id.'),
    secretAccessKeyFile: textSchema.optional().describe('File that holds the secret access key.'),
    sessionTokenFile: textSchema.optional().describe('File that holds the session token, for temporary credentials.'),
    accessKeyIdEnv: variableSchema.optional().describe('Environment variable that holds the access key id.'),
    secretAccessKeyEnv: variableSchema.optional().describe('Environment variable that holds the secret access key.'),
    sessionTokenEnv: variableSchema.optional().describe('Environment variable that holds the session token.'),
    profile: textSchema.optional().describe('Profile in the AWS configuration and credentials files.'),
  })
  .describe(
    'Where credentials come from. Left out: as every AWS tool finds them (environment, profile, instance role).',
  );

export type S3Credentials = z.output<typeof s3CredentialsSchema>;

/** How they are given, for who writes them into the file itself. */
export const s3SecretKeys: Readonly<Record<string, string>> = {
  secret: 'credentials: { accessKeyIdFile: …, secretAccessKeyFile: … }, or their …Env',
  accesskeyid: 'credentials: { accessKeyIdFile: … } or { accessKeyIdEnv: … }',
  secretaccesskey: 'credentials: { secretAccessKeyFile: … } or { secretAccessKeyEnv: … }',
  sessiontoken: 'credentials: { sessionTokenFile: … } or { sessionTokenEnv: … }',
};

/** Credentials with nothing left to look up; all absent: the AWS SDK finds them itself. */
export interface ResolvedS3Credentials {
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  profile?: string;
  secrets: readonly string[];
}

/** @throws ConfigurationError `SecretUnavailable` naming file or variable */
export async function resolveS3Credentials(
  from: S3Credentials | undefined,
  env: NodeJS.ProcessEnv,
): Promise<ResolvedS3Credentials> {
  const accessKeyId = await secretOf(from?.accessKeyIdFile, from?.accessKeyIdEnv, env, 'the access key id');
  const secretAccessKey = await secretOf(
    from?.secretAccessKeyFile,
    from?.secretAccessKeyEnv,
    env,
    'the secret access key',
  );
  const sessionToken = await secretOf(from?.sessionTokenFile, from?.sessionTokenEnv, env, 'the session token');
  // What the SDK finds by itself is known to us too, so that it can be kept out of logs.
  const ambient = [env['AWS_SECRET_ACCESS_KEY'], env['AWS_SESSION_TOKEN']];
  const secrets = [secretAccessKey, sessionToken, ...ambient].flatMap((each) => (each ? formsOfSecret(each) : []));
  return {
    ...(accessKeyId !== undefined && secretAccessKey !== undefined
      ? { credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) } }
      : {}),
    ...(from?.profile === undefined ? {} : { profile: from.profile }),
    secrets,
  };
}
