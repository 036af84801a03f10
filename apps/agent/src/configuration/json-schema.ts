import { jsonSchemaOf, type JsonSchema } from '@strideiq/configuration';
import { agentFileSchema } from './schema.ts';

/**
 * JSON Schema (draft 2020-12) of `agent.yaml`, for editors: `strideiq-agent config schema > agent.schema.json`, then
 * `# yaml-language-server: $schema=agent.schema.json` as the file's first line.
 */
export function configurationJsonSchema(): JsonSchema {
  return jsonSchemaOf(agentFileSchema, 'strideiq-agent configuration');
}
