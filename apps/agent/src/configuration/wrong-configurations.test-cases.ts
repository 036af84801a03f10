/** Tables for `load.test.ts`: every kind of mistake in a host's file, and what must be said of it. Those in databases: `wrong-databases.test-cases.ts`. */

/** The shortest configuration that holds. */
export const least = `version: 1
environment: production
stores:
  local: { type: directory, path: backups }
databases:
  app:
    stores: [local]
`;

/** Replaces in the least configuration; what is wrong must be told at this line and key, with these words of cure. */
export type Wrong = [what: string, from: string, to: string, line: number, key: string, said: RegExp];

/** In the file itself, its stores and the control plane, and in its YAML. */
export const wrong: Wrong[] = [
  ['a version from the future', 'version: 1', 'version: 2', 1, 'version', /must be 1/],
  ['no version', 'version: 1\n', '', 1, 'version', /is missing. It must be 1/],
  ['a number for a name', 'production', '2024', 2, 'environment', /must be text, not a number.*quotes/],
  ['an empty key', 'production', '', 2, 'environment', /is empty.*leave the key out/],
  ['a name with a slash', 'production', 'eu/prod', 2, 'environment', /letters, digits/],
  ['a misspelt key', 'environment:', 'enviroment:', 2, 'enviroment', /Did you mean "environment"/],
  ['a key like no other', 'environment: p', 'zzzz: 1\nenvironment: p', 2, 'zzzz', /Known here: version, controlPlane/],
  ['a key given twice', 'environment: p', 'environment: a\nenvironment: p', 3, 'environment', /second time.*Keep one/],
  [
    'plain http to another host',
    'stores:\n  l',
    'controlPlane: { url: http://b.example.com }\nstores:\n  l',
    3,
    'controlPlane.url',
    /allowPlainText/,
  ],
  [
    'a control plane that is no URL',
    'stores:\n  l',
    'controlPlane: { url: backup }\nstores:\n  l',
    3,
    'controlPlane.url',
    /begins with https/,
  ],
  ['an unknown type of store', 'type: directory', 'type: directry', 4, 'stores.local.type', /Did you mean "directory"/],
  ['no type of store', 'type: directory, ', '', 4, 'stores.local.type', /missing.*one of directory, s3/],
  [
    'a key of the other type of store',
    'path: backups',
    'path: a, bucket: b',
    4,
    'stores.local.bucket',
    /Known here: type, path/,
  ],
  [
    'an unknown placeholder',
    'path: backups',
    'path: "/b/{databse}"',
    4,
    'stores.local.path',
    /Did you mean \{database\}/,
  ],
  [
    'a bucket with its scheme',
    'type: directory, path: backups',
    'type: s3, bucket: "s3://b/c"',
    4,
    'stores.local.bucket',
    /name alone/,
  ],
  [
    'an inline S3 key',
    'type: directory, path: backups',
    'type: s3, bucket: bbb, secretAccessKey: hunter2',
    4,
    'stores.local.secretAccessKey',
    /secretAccessKeyFile/,
  ],
  [
    'an inline S3 key among credentials',
    'type: directory, path: backups',
    'type: s3, bucket: bbb, credentials: { accessKeyId: hunter2 }',
    4,
    'stores.local.credentials.accessKeyId',
    /accessKeyIdFile/,
  ],
  [
    'half a pair of keys',
    'type: directory, path: backups',
    'type: s3, bucket: bbb, credentials: { accessKeyIdEnv: A }',
    4,
    'stores.local.credentials',
    /lacks secretAccessKeyFile/,
  ],
  [
    'a profile beside keys',
    'type: directory, path: backups',
    'type: s3, bucket: bbb, credentials: { accessKeyIdEnv: A, secretAccessKeyEnv: B, profile: c }',
    4,
    'stores.local.credentials.profile',
    /Keep one/,
  ],
  [
    'a key for no encryption',
    'type: directory, path: backups',
    'type: s3, bucket: bbb, sseKmsKeyId: k',
    4,
    'stores.local.sseKmsKeyId',
    /sse: aws:kms/,
  ],
  [
    'a class that must be thawed',
    'type: directory, path: backups',
    'type: s3, bucket: bbb, storageClass: DEEP_ARCHIVE',
    4,
    'stores.local.storageClass',
    /GLACIER_IR/,
  ],
  [
    'an endpoint without scheme',
    'type: directory, path: backups',
    'type: s3, bucket: bbb, endpoint: minio',
    4,
    'stores.local.endpoint',
    /https:\/\//,
  ],
  ['a tab', '    stores: [local]', '\tstores: [local]', 7, 'databases.app', /does not take tabs/],
  ['a brace left open', 'path: backups }', 'path: backups', 5, 'databases', /close every bracket/],
  ['braces without quotes', 'path: backups', 'path: {database}/x', 4, 'stores.local', /in quotes/],
];
