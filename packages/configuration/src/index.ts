export { ConfigurationError, ConfigurationInvalid, type ConfigurationErrorCode, type Problem } from './errors.ts';
export { holdsOneOf } from './holds-one-of.ts';
export { jsonSchemaOf, knownKeys, type JsonSchema } from './json-schema.ts';
export { didYouMean, nearest } from './nearest.ts';
export { outgoingUrl } from './outgoing-url.ts';
export { parseFile, readConfigurationFile } from './parse-file.ts';
export { type FileForm, type UnplacedProblem } from './problems.ts';
export {
  resolveS3Credentials,
  s3CredentialsSchema,
  s3SecretKeys,
  type ResolvedS3Credentials,
  type S3Credentials,
} from './s3-credentials.ts';
export { formsOfSecret, readSecretFile, secretOf } from './secrets.ts';
export { durationMs, durationSchema, nameSchema, sizeBytes, sizeSchema, textSchema, variableSchema } from './values.ts';
