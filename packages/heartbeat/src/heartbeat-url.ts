import { formsOfSecret, holdsOneOf, outgoingUrl, secretOf, textSchema, variableSchema } from '@strideiq/configuration';
import { z } from 'zod';

/** Where somebody else notices that one of our programs is silent. */
export const heartbeatSchema = z
  .strictObject({
    url: z
      .url({ protocol: /^https?$/, error: 'must be a URL that begins with https://' })
      .optional()
      .describe('The URL, where it holds no secret.'),
    urlFile: textSchema.optional().describe('File that holds it.'),
    urlEnv: variableSchema.optional().describe('Environment variable that holds it.'),
  })
  .refine(...holdsOneOf(['url', 'urlFile', 'urlEnv']));
export type HeartbeatConfiguration = z.output<typeof heartbeatSchema>;

export interface HeartbeatSurroundings {
  env: NodeJS.ProcessEnv;
  /** Learns the URL: whoever has it can say that all is well. */
  secrets: Set<string>;
  allowPlainText: boolean;
  /** Makes the URL of what was said; left out: it stands there as it is. */
  fill?: (text: string) => string;
}

/**
 * Read anew each time, as it may be another by now.
 * @throws ConfigurationError `SecretUnavailable`; Error where it is no URL, or one that anyone on the way could read
 */
export async function heartbeatUrl(
  said: HeartbeatConfiguration,
  { env, secrets, allowPlainText, fill = (text) => text }: HeartbeatSurroundings,
): Promise<URL> {
  const text = said.url ?? (await secretOf(said.urlFile, said.urlEnv, env, 'the URL of the heartbeat')) ?? '';
  const filled = fill(text);
  for (const form of [...formsOfSecret(text), ...formsOfSecret(filled)]) secrets.add(form);
  return outgoingUrl(filled, allowPlainText);
}
