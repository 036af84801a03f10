import { formsOfSecret, readSecretFile, secretOf } from '@strideiq/configuration';
import { severities, type RuleName, type Severity } from '@strideiq/core';
import { ChannelFailed } from './channel-failed.ts';
import { sendEmail } from './email.ts';
import type { Notice } from './notice.ts';
import { pagerDutyEvents } from './pager-duty.ts';
import { postJson } from './post-json.ts';
import type { ChannelConfiguration, WebhookConfiguration } from './schema.ts';
import { slackBody } from './slack.ts';
import { filledIn, templates } from './templates.ts';
import { headersOf, signedHeaders } from './webhook.ts';

/** Somewhere that people are told of alerts. */
export interface Channel {
  name: string;
  type: ChannelConfiguration['type'];
  /** Null: all. */
  environments: readonly string[] | null;
  severity: Severity;
  /** Null: all. */
  rules: readonly RuleName[] | null;
  digest: { schedule: string; timezone: string } | null;
  takes: (about: { environment: string | null; severity: Severity; rule: RuleName }) => boolean;
  /** Resolves once the service has taken it. @throws ChannelFailed; the signal's reason */
  send: (notice: Notice, signal: AbortSignal) => Promise<void>;
}

export interface ChannelParts {
  env: NodeJS.ProcessEnv;
  now: () => number;
  /** Gets what the channel must not be heard of saying. */
  secrets: Set<string>;
  /** Whether messages may cross a network in the clear. */
  allowPlainText: boolean;
}

/** Its secrets are read with each message, so that one that was changed needs no restart. */
export function openChannel(name: string, said: ChannelConfiguration, parts: ChannelParts): Channel {
  const { type, environments = null, severity, rules = null, digest = null } = said;
  return {
    name,
    type,
    environments,
    severity,
    rules,
    digest,
    takes: (about) =>
      severities.indexOf(about.severity) >= severities.indexOf(severity) &&
      (rules === null || rules.includes(about.rule)) &&
      // What is about the control plane itself is everybody's trouble.
      (environments === null || about.environment === null || environments.includes(about.environment)),
    send: async (notice, signal) => {
      try {
        await send(said, notice, parts, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof ChannelFailed) throw error;
        // A secret's file that cannot be read now may be there in a moment.
        throw new ChannelFailed(`The message could not be sent: ${(error as Error).message}`, { cause: error });
      }
    },
  };
}

async function send(
  said: ChannelConfiguration,
  notice: Notice,
  parts: ChannelParts,
  signal: AbortSignal,
): Promise<void> {
  const { env, secrets, allowPlainText } = parts;
  const secret = async (file: string | undefined, variable: string | undefined, what: string) => {
    const text = await secretOf(file, variable, env, what);
    for (const form of text === undefined ? [] : formsOfSecret(text)) secrets.add(form);
    return text;
  };
  const needed = async (file: string | undefined, variable: string | undefined, what: string) =>
    (await secret(file, variable, what)) ?? '';
  const post = { allowPlainText, secrets, signal };
  switch (said.type) {
    case 'email': {
      const password = await secret(said.smtp.passwordFile, said.smtp.passwordEnv, 'the password of the mail server');
      return sendEmail(said, notice, { password, secrets, signal });
    }
    case 'slack': {
      const url = await needed(said.urlFile, said.urlEnv, 'the URL of the webhook');
      return postJson({ ...post, url, body: JSON.stringify(slackBody(notice)) });
    }
    case 'pagerDuty': {
      const key = await needed(said.routingKeyFile, said.routingKeyEnv, 'the integration key');
      for (const event of pagerDutyEvents(notice, key))
        await postJson({ ...post, url: said.url, body: JSON.stringify(event) });
      return undefined;
    }
    case 'webhook':
    default: {
      const url = said.url ?? (await needed(said.urlFile, said.urlEnv, 'the URL of the webhook'));
      const key = await secret(said.secretFile, said.secretEnv, 'the secret of the webhook');
      const body = bodyOf(said, notice);
      const signed = key === undefined ? {} : signedHeaders({ id: notice.id, body, secret: key, now: parts.now() });
      return postJson({ ...post, url, body, headers: { ...(await headersFor(said, secrets)), ...signed } });
    }
  }
}

function bodyOf({ body, template, chatId, topic }: WebhookConfiguration, notice: Notice): string {
  return body === undefined ? JSON.stringify(templates[template](notice, { chatId, topic })) : filledIn(body, notice);
}

async function headersFor(
  { headers, headersFile }: WebhookConfiguration,
  secrets: Set<string>,
): Promise<Record<string, string>> {
  if (headersFile === undefined) return headers;
  const read = headersOf(await readSecretFile(headersFile, 'the headers of the webhook'));
  for (const value of Object.values(read)) secrets.add(value);
  return { ...headers, ...read };
}
